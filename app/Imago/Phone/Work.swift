import Foundation

/// The one queue on which cameras, models and pictures are worked with, one after another, so that the screen never waits.
enum Work {
    static let queue = DispatchQueue(label: "imago.work", qos: .userInitiated)

    /// What a person is told of an error.
    static func sentence(_ error: Error) -> String {
        (error as? Refusal)?.sentence ?? error.localizedDescription
    }
}
