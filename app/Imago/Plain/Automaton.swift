/// A grammar as tokens and states, as bundle/xml/automaton.py has it: where only one event can come it is no token.
/// The states that documents meet are made when they are met, and kept. Not to be used from two threads at once.
final class Automaton {
    let grammar: Grammar
    let ids: [Event: Int]
    private let rests: Rests
    private var states: [[Rest]: AutomatonState] = [:]

    init(_ grammar: Grammar) {
        self.grammar = grammar
        rests = Rests(grammar)
        // Token 0 is none of the events, whatever the table says there.
        ids = Dictionary(grammar.tokens.enumerated().dropFirst().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
    }

    var first: AutomatonState { state(rests.first) }

    /// The state after an event; nil where it may not come.
    func after(_ state: AutomatonState, _ event: Event) -> AutomatonState? {
        if let known = state.after[event] { return known }
        guard let tails = state.tails(event) else { return nil }
        let to = self.state(tails)
        state.after[event] = to
        return to
    }

    /// The events that must come now, one after the other, and the state in which there is a choice again, or the end.
    func forced(_ start: AutomatonState) -> (events: [Event], state: AutomatonState) {
        if let known = start.run { return known }
        var events: [Event] = []
        var state = start
        while !state.choice, let event = state.only, let to = after(state, event) {
            events.append(event)
            state = to
        }
        if state !== start { start.run = (events, state) } // a state that held itself would never go
        return (events, state)
    }

    private func state(_ tails: [Rest]) -> AutomatonState {
        let closed = rests.close(tails)
        if let known = states[closed] { return known }
        if states.count >= grammar.bounds.states { forget() }
        let made = made(closed)
        states[closed] = made
        return made
    }

    private func made(_ closed: [Rest]) -> AutomatonState {
        var events: [Event: [Rest]] = [:]
        var numbers: [(least: Int, most: Int, tail: Rest)] = []
        for rest in closed {
            guard let tail = rest.tail else { continue }
            switch grammar.nodes[rest.head].shape {
            case .one(let event): events[event, default: []].append(tail)
            case .number(let least, let most): numbers.append((least, most, tail))
            default: break // close leaves none of these
            }
        }
        let spans = Span.split(numbers)
        return AutomatonState(rests: closed, events: events, spans: spans, mask: mask(Array(events.keys), spans))
    }

    /// Of the tokens those that are one of the events or lie in one of the spans; numbers of a span stand in a row in the table.
    func mask(_ events: [Event], _ spans: [Span]) -> [Bool] {
        var mask = [Bool](repeating: false, count: grammar.tokens.count)
        for at in events.compactMap({ ids[$0] }) { mask[at] = true }
        for span in spans {
            guard let first = ids[.number(span.least)] else { continue }
            for at in first..<min(first + span.count, mask.count) { mask[at] = true }
        }
        return mask
    }

    /// States lead to one another, so they are taken apart for the memory to be free.
    private func forget() {
        for state in states.values { (state.after, state.run) = ([:], nil) }
        states.removeAll()
        rests.clear()
    }

    deinit {
        for state in states.values { (state.after, state.run) = ([:], nil) }
    }
}
