/// What went wrong, in one sentence that a person can act on.
struct Refusal: Error, Equatable, CustomStringConvertible {
    let sentence: String

    init(_ sentence: String) {
        self.sentence = sentence
    }

    var description: String { sentence }
}
