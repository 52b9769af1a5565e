import Combine
import CoreGraphics
import Foundation

/// What the screen shows. Touched on the main queue only; models work on Work.queue.
final class Screen: ObservableObject {
    enum Shown {
        case camera
        case photo(CGImage)
    }

    @Published private(set) var found: [Found] = []
    @Published private(set) var about: About?
    @Published private(set) var shown = Shown.camera
    @Published private(set) var labels: [ScoredLabel] = []
    @Published private(set) var answer: Answer?
    @Published private(set) var trusted = false
    @Published private(set) var tokens: Int? // while a document is made
    @Published private(set) var sentence: String? // what went wrong
    @Published private(set) var writes = false // the model makes XML
    @Published var chosen: Found? {
        didSet { if let chosen, chosen != oldValue { load(chosen) } }
    }

    private(set) lazy var camera = Camera { [weak self] picture in self?.saw(picture) }
    private var loaded: Loaded? // on Work.queue, and so are these two
    private var last: CGImage?
    private var still = false // a photo is looked at, not the camera

    /// Finds the models, and opens the first.
    func open() {
        guard found.isEmpty else { return }
        do {
            found = try Models.found()
            chosen = found.first
            camera.start { [weak self] in self?.sentence = $0 }
        } catch {
            sentence = Work.sentence(error)
        }
    }

    /// Back to the camera.
    func look() {
        forget()
        shown = .camera
        Work.queue.async { self.still = false }
        camera.start { [weak self] in self?.sentence = $0 }
    }

    /// What the camera sees now becomes a document.
    func shoot() {
        Work.queue.async {
            guard let picture = self.last else { return }
            self.take(picture)
        }
    }

    /// A photo's bytes; nil where they could not be loaded.
    func choose(_ data: Data?) {
        Work.queue.async {
            do {
                guard let data else { throw Refusal("the photo could not be loaded; choose another one") }
                self.take(try Pixels.photo(data))
            } catch {
                self.refuse(error)
            }
        }
    }

    private func forget() {
        (labels, answer, sentence, tokens) = ([], nil, nil, nil)
    }

    private func load(_ found: Found) {
        forget()
        about = nil
        Work.queue.async {
            do {
                self.loaded = nil
                let loaded = try Models.load(found)
                self.loaded = loaded
                DispatchQueue.main.async { self.show(loaded) }
            } catch {
                self.refuse(error)
            }
        }
    }

    private func show(_ loaded: Loaded) {
        about = loaded.about
        if case .writer = loaded { writes = true } else { writes = false }
        if case .photo(let picture) = shown { Work.queue.async { self.run(picture) } }
    }

    // ---- on Work.queue ---------------------------------------------------------------------

    private func saw(_ picture: CGImage) {
        last = picture
        guard !still, case .classifier? = loaded else { return }
        run(picture)
    }

    private func take(_ picture: CGImage) {
        still = true
        camera.stop()
        DispatchQueue.main.async {
            self.forget()
            self.shown = .photo(picture)
        }
        run(picture)
    }

    private func run(_ picture: CGImage) {
        do {
            switch loaded {
            case .classifier(let classifier):
                let labels = try classifier.labels(picture)
                DispatchQueue.main.async { self.labels = labels }
            case .writer(let writer):
                try write(picture, writer)
            case nil: break
            }
        } catch {
            refuse(error)
        }
    }

    private func write(_ picture: CGImage, _ writer: Writer) throws {
        let until = Date(timeIntervalSinceNow: 60) // nobody looks at a progress for longer
        let answer = try writer.answer(picture, hurry: { Date() > until }) { count in
            DispatchQueue.main.async { self.tokens = count }
        }
        DispatchQueue.main.async {
            (self.answer, self.trusted, self.tokens) = (answer, answer.trusted(writer.grammar.sure), nil)
        }
    }

    private func refuse(_ error: Error) {
        DispatchQueue.main.async { (self.sentence, self.tokens) = (Work.sentence(error), nil) }
    }
}
