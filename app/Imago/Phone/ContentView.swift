import PhotosUI
import SwiftUI

struct ContentView: View {
    @ObservedObject var screen: Screen
    @State private var item: PhotosPickerItem?

    var body: some View {
        NavigationStack {
            VStack(spacing: 12) {
                picture
                if let sentence = screen.sentence {
                    Text(sentence).foregroundColor(.red).padding(.horizontal)
                }
                results
                buttons
            }
            .navigationTitle(screen.about?.name ?? "Imago")
            .navigationBarTitleDisplayMode(.inline)
            .toolbar { bundle }
        }
        .onChange(of: item) { chosen in
            guard let chosen else { return }
            item = nil // so that the same photo can be chosen again
            Task { screen.choose(try? await chosen.loadTransferable(type: Data.self)) }
        }
    }

    @ViewBuilder private var picture: some View {
        switch screen.shown {
        case .camera:
            CameraView(session: screen.camera.session).background(.black)
                .accessibilityElement().accessibilityLabel("What the camera sees")
        case .photo(let photo):
            Image(decorative: photo, scale: 1).resizable().scaledToFit().frame(maxHeight: screen.writes ? 220 : .infinity)
        }
    }

    @ViewBuilder private var results: some View {
        if let answer = screen.answer {
            AnswerView(answer: answer, verdict: screen.verdict)
        } else if let tokens = screen.tokens {
            ProgressView("\(tokens) tokens")
        } else if screen.about == nil, screen.sentence == nil {
            ProgressView("Opening the model")
        } else {
            ViewThatFits(in: .vertical) {
                LabelsView(labels: screen.labels)
                ScrollView { LabelsView(labels: screen.labels) } // many labels, or large letters
            }
        }
    }

    private var buttons: some View {
        HStack {
            PhotosPicker(selection: $item, matching: .images) { Label("Photo", systemImage: "photo") }
            Spacer()
            switch screen.shown {
            case .photo: Button { screen.look() } label: { Label("Camera", systemImage: "camera") }
            case .camera where screen.writes: Button { screen.shoot() } label: { Label("Convert", systemImage: "camera.circle") }
            case .camera: EmptyView()
            }
        }
        .buttonStyle(.bordered)
        .disabled(screen.tokens != nil || screen.about == nil)
        .padding([.horizontal, .bottom])
    }

    @ToolbarContentBuilder private var bundle: some ToolbarContent {
        ToolbarItem(placement: .navigationBarLeading) {
            if let id = screen.about?.id.prefix(8) {
                Text(id).font(.caption.monospaced()).accessibilityLabel("Bundle \(String(id))")
            }
        }
        ToolbarItem(placement: .navigationBarTrailing) {
            if screen.found.count > 1 {
                Picker("Model", selection: $screen.chosen) {
                    ForEach(screen.found, id: \.self) { Text($0.title).tag(Optional($0)) }
                }
                .disabled(screen.tokens != nil)
            }
        }
    }
}
