import Foundation

/// A network for image to XML, whichever runtime answers: a picture is encoded once, then each token asks for the next.
protocol Network {
    associatedtype Picture
    associatedtype Memory // of the picture
    associatedtype Caches // of the tokens so far, always as large as the longest document

    func encode(_ picture: Picture) throws -> Memory

    /// Caches of no token.
    func empty() throws -> Caches

    /// Logits, one a token of the grammar, and the caches with the token's row written at `position`.
    func step(token: Int, position: Int, caches: Caches, memory: Memory) throws -> (logits: [Float], caches: Caches)
}

/// A document, valid whatever the picture was.
struct Answer {
    let xml: String
    let events: [Event]
    let tokens: Int
    let score: Double // mean probability of the tokens among those that were allowed
    let least: Double // the smallest of them
    let cut: Bool // a bound of tokens or time ended it: valid, but not what the network would have said

    /// Whether the bundle's thresholds are reached. The area that a drawing covers is not measured here.
    func trusted(_ sure: Grammar.Sure) -> Bool {
        !cut && score >= sure.score && least >= sure.least
    }

    /// The same in a sentence for people.
    func verdict(_ sure: Grammar.Sure) -> String {
        if cut { return "A bound ended it: \(tokens) tokens, valid, but not all that the model would have said." }
        return "\(trusted(sure) ? "Sure of its tokens" : "Not sure, look at it"): \(percentage(score)) on average, \(tokens) tokens."
    }
}

/// A picture becomes a document: token after token the likeliest of those that the schema allows there.
final class GreedyDecoder<Runtime: Network> {
    private let network: Runtime
    private let automaton: Automaton

    init(_ network: Runtime, _ grammar: Grammar) {
        self.network = network
        automaton = Automaton(grammar)
    }

    /// When `hurry` says so, it is finished the shortest way. `told` hears how many tokens there are.
    func decode(
        _ picture: Runtime.Picture, hurry: () -> Bool = { false }, told: (Int) -> Void = { _ in }
    ) throws -> Answer {
        var walk = Walk(automaton, most: automaton.grammar.mostTokens)
        var (chances, cut, token): ([Double], Bool, Int) = ([], false, 0)
        guard !walk.done else { return answer(walk, chances, cut) }
        let memory = try network.encode(picture)
        var caches = try network.empty()
        while !walk.done {
            if hurry() {
                chances += [Double](repeating: 0, count: try walk.finish())
                return answer(walk, chances, true)
            }
            let (logits, written) = try network.step(
                token: token, position: chances.count, caches: caches, memory: memory)
            caches = written
            let best = try likeliest(logits, walk.mask)
            cut = cut || walk.bounded
            try walk.push(best.token)
            token = best.token
            chances.append(best.chance)
            told(chances.count)
        }
        return answer(walk, chances, cut)
    }

    private func answer(_ walk: Walk, _ chances: [Double], _ cut: Bool) -> Answer {
        let counted = chances.isEmpty ? [1] : chances // a schema of one document only
        return Answer(
            xml: Document.text(walk.events, automaton.grammar.names),
            events: walk.events,
            tokens: chances.count,
            score: counted.reduce(0, +) / Double(counted.count),
            least: counted.min() ?? 1,
            cut: cut)
    }
}

/// The best of the allowed tokens, and its probability among them. Where the network says no numbers: the first, at probability 0.
func likeliest(_ logits: [Float], _ allowed: [Bool]) throws -> (token: Int, chance: Double) {
    guard logits.count == allowed.count else {
        throw Refusal("the model gives \(logits.count) scores where the grammar has \(allowed.count) tokens; export the bundle again")
    }
    let tokens = allowed.indices.filter { allowed[$0] }
    guard let first = tokens.first else { throw Refusal("the schema leads nowhere here; export the bundle again") }
    guard tokens.allSatisfy({ logits[$0].isFinite }) else { return (first, 0) }
    let best = tokens.reduce(first) { logits[$1] > logits[$0] ? $1 : $0 }
    let total = tokens.reduce(0.0) { $0 + exp(Double(logits[$1] - logits[best])) }
    return (best, 1 / total)
}
