import SwiftUI

@main
struct ImagoApp: App {
    @StateObject private var screen = Screen()

    var body: some Scene {
        WindowGroup {
            ContentView(screen: screen)
                .task { screen.open() }
        }
    }
}
