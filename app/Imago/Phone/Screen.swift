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
    @Published private(set) var verdict = "" // on the answer
    @Published private(set) var tokens: Int? // while a document is made
    @Published private(set) var sentence: String? // what went wrong
    @Published private(set) var writes = false // the model makes XML
    @Published var chosen: Found? {
        didSet { if let chosen, chosen != oldValue { load(chosen) } }
    }

    private(set) lazy var camera = Camera { [weak self] picture in self?.saw(picture) }
    private var loaded: Loaded? // on Work.queue, and so are these three
    private var last: CGImage?
    private var still = false // a photo is looked at, not the camera
    private var failed = false // the last picture of all

    /// Finds the models, and opens the first.
    func open() {
        guard found.isEmpty else { return }
        do {
            found = try Models.found()
            chosen = found.first
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
        tokens = 0 // a second touch would convert it twice
        Work.queue.async {
            guard let picture = self.last else { return self.refuse(Refusal("the camera has seen nothing yet; wait for it, or choose a photo")) }
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
        (about, writes) = (nil, false)
        Work.queue.async {
            self.loaded = nil
            DispatchQueue.main.async { self.forget() } // after what the model before said of its last picture
            do {
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
        if case .writer = loaded { writes = true }
        switch shown {
        case .camera: look()
        case .photo(let picture): Work.queue.async { self.take(picture) }
        }
    }

    // ---- on Work.queue ---------------------------------------------------------------------

    private func saw(_ picture: CGImage) {
        guard !still else { return }
        last = picture
        if case .classifier? = loaded { run(picture) }
    }

    private func take(_ picture: CGImage) {
        (still, last) = (true, nil)
        DispatchQueue.main.async {
            self.forget()
            self.shown = .photo(picture)
            if self.writes { self.tokens = 0 }
        }
        camera.stop()
        run(picture)
    }

    private func run(_ picture: CGImage) {
        do {
            switch loaded {
            case .classifier(let classifier):
                told(try classifier.labels(picture))
            case .writer(let writer):
                try write(picture, writer)
            case nil: break
            }
        } catch {
            failed = true
            refuse(error)
        }
    }

    /// A picture that could be looked at takes back what was said of one that could not, as while the app goes to the background.
    private func told(_ labels: [ScoredLabel]) {
        let again = failed
        failed = false
        DispatchQueue.main.async {
            self.labels = labels
            if again { self.sentence = nil }
        }
    }

    private func write(_ picture: CGImage, _ writer: Writer) throws {
        let until = Date(timeIntervalSinceNow: 60) // nobody looks at a progress for longer
        let answer = try writer.answer(picture, hurry: { Date() > until }) { count in
            DispatchQueue.main.async { self.tokens = count }
        }
        DispatchQueue.main.async {
            (self.answer, self.verdict, self.tokens) = (answer, answer.verdict(writer.grammar.sure), nil)
        }
    }

    private func refuse(_ error: Error) {
        DispatchQueue.main.async { (self.sentence, self.tokens) = (Work.sentence(error), nil) }
    }
}
