/// One document that grows token by token. `most` bounds its tokens: near it only what leads to the end may come.
struct Walk {
    let automaton: Automaton
    var left: Double
    private(set) var events: [Event]
    private(set) var state: AutomatonState

    init(_ automaton: Automaton, most: Int) {
        self.automaton = automaton
        let first = automaton.first
        left = max(Double(most), first.need)
        (events, state) = automaton.forced(first)
    }

    var done: Bool { state.end }

    /// Of the tokens those that may come.
    var mask: [Bool] {
        guard state.peak >= left else { return state.mask }
        let events = state.events.filter { AutomatonState.least($0.value) < left }.map(\.key)
        return automaton.mask(events, state.spans.filter { AutomatonState.least($0.tails) < left })
    }

    /// Whether the bound takes something away here.
    var bounded: Bool { state.peak >= left && mask != state.mask }

    /// A token that the mask allows; then all that must follow. Throws a Refusal for another.
    mutating func push(_ token: Int) throws {
        let tokens = automaton.grammar.tokens
        guard token > 0, token < tokens.count, let to = automaton.after(state, tokens[token]) else {
            throw Refusal("token \(token) may not come here")
        }
        let (more, following) = automaton.forced(to)
        events.append(tokens[token])
        events += more
        state = following
        left -= 1
    }

    /// The shortest way to an end from here; how many tokens it took.
    mutating func finish() throws -> Int {
        var count = 0
        while !done {
            left = state.need
            guard let token = mask.firstIndex(of: true) else { throw Refusal("the schema leads to no end here") }
            try push(token)
            count += 1
        }
        return count
    }
}
