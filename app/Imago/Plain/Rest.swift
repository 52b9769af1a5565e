/// What is still to come: an expression, then `tail`. There is one object of each, so they are compared by identity.
final class Rest: Hashable {
    let head: Int // a node of the grammar; -1: the document is at its end
    let done: Int // of a repetition: how many items are there already
    let tail: Rest?
    let depth: Int // elements that are open here
    let need: Double // tokens that it takes at least

    init(head: Int, done: Int, tail: Rest?, depth: Int, need: Double) {
        (self.head, self.done, self.tail, self.depth, self.need) = (head, done, tail, depth, need)
    }

    static func == (one: Rest, two: Rest) -> Bool { one === two }

    func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}

/// Makes them, one object of each.
final class Rests {
    private struct Key: Hashable {
        let head: Int
        let done: Int
        let tail: Rest
    }

    private let grammar: Grammar
    private let last = Rest(head: -1, done: 0, tail: nil, depth: 0, need: 0)
    private var known: [Key: Rest] = [:]

    init(_ grammar: Grammar) {
        self.grammar = grammar
    }

    var first: [Rest] { [rest(grammar.start, 0, last)] }

    func clear() { known.removeAll() }

    /// What comes first in each of the tails, opened until it is an event or a number.
    func close(_ tails: [Rest]) -> [Rest] {
        var stack = Array(tails.reversed())
        var seen: Set<Rest> = []
        var heads: [Int] = [] // in the order in which they are met
        var found: [Int: [Rest]] = [:]
        while let rest = stack.popLast() {
            guard seen.insert(rest).inserted else { continue }
            if let ways = open(rest) {
                stack += ways.reversed().filter { $0.need < .infinity }
            } else {
                if found[rest.head] == nil { heads.append(rest.head) }
                found[rest.head, default: []].append(rest)
            }
        }
        return heads.flatMap { few(found[$0] ?? []) }
    }

    /// The ways into an expression; nil for an event, a number and the end.
    private func open(_ rest: Rest) -> [Rest]? {
        guard let tail = rest.tail else { return nil }
        switch grammar.nodes[rest.head].shape {
        case .one, .number: return nil
        case .sequence(let items): return [items.reversed().reduce(tail) { self.rest($1, 0, $0) }]
        case .choice(let items): return items.map { self.rest($0, 0, tail) }
        case .maybe(let item): return [self.rest(item, 0, tail), tail]
        case .again(let item, let least, let most):
            let stop = rest.done >= least ? [tail] : []
            guard rest.done < most else { return stop }
            return [self.rest(item, 0, self.rest(rest.head, rest.done + 1, tail))] + stop
        }
    }

    private func rest(_ head: Int, _ done: Int, _ tail: Rest) -> Rest {
        let key = Key(head: head, done: done, tail: tail)
        if let found = known[key] { return found }
        let node = grammar.nodes[head]
        var (wanted, depth) = (1, tail.depth)
        if case .again(_, let least, _) = node.shape { wanted = least }
        if case .one(.end) = node.shape { depth += 1 }
        let cost = done < wanted ? node.cost(room: grammar.bounds.depth - tail.depth) : 0
        let made = Rest(head: head, done: done, tail: tail, depth: depth, need: tail.need + cost)
        known[key] = made
        return made
    }

    private func few(_ ways: [Rest]) -> [Rest] {
        guard ways.count > grammar.bounds.ways, let best = ways.min(by: { $0.need < $1.need }) else { return ways }
        return [best] + ways.prefix(grammar.bounds.ways - 1)
    }
}
