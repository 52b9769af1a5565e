/// Whole numbers, from and to; what may come after each of them.
struct Span {
    let least: Int
    let most: Int
    let tails: [Rest]

    var count: Int { most - least + 1 }
}

/// What may come next in a document.
final class AutomatonState {
    let rests: [Rest] // an array's order is that of the schema
    let events: [Event: [Rest]]
    let spans: [Span]
    let mask: [Bool] // of the tokens, those that may come
    let need: Double
    let peak: Double // what is needed after the event that needs the most after it
    var after: [Event: AutomatonState] = [:]
    var run: (events: [Event], state: AutomatonState)?

    init(rests: [Rest], events: [Event: [Rest]], spans: [Span], mask: [Bool]) {
        (self.rests, self.events, self.spans, self.mask) = (rests, events, spans, mask)
        need = AutomatonState.least(rests)
        peak = (events.values.map(AutomatonState.least) + spans.map { AutomatonState.least($0.tails) }).max() ?? 0
    }

    var end: Bool { events.isEmpty && spans.isEmpty }

    /// Whether more than one event may come.
    var choice: Bool { events.count + spans.reduce(0) { $0 + $1.count } > 1 }

    /// The one event that may come, where there is no choice.
    var only: Event? { events.keys.first ?? spans.first.map { .number($0.least) } }

    /// What may come after the event; nil where it may not come.
    func tails(_ event: Event) -> [Rest]? {
        guard case .number(let number) = event else { return events[event] }
        return spans.first { $0.least <= number && number <= $0.most }?.tails
    }

    static func least(_ rests: [Rest]) -> Double {
        rests.reduce(.infinity) { min($0, $1.need) }
    }
}

extension Span {
    /// Where numbers' bounds overlap, the part that they share leads to all that either leads to.
    static func split(_ numbers: [(least: Int, most: Int, tail: Rest)]) -> [Span] {
        let cuts = Set(numbers.flatMap { [$0.least, $0.most + 1] }).sorted()
        return zip(cuts, cuts.dropFirst()).compactMap { least, above in
            let here = numbers.filter { $0.least <= least && above - 1 <= $0.most }
            return here.isEmpty ? nil : Span(least: least, most: above - 1, tails: here.map(\.tail))
        }
    }
}
