/// A place in a drawing, in its own units.
struct Spot: Equatable {
    let x: Double
    let y: Double
}

/// A piece of a path, absolute.
enum Curve: Equatable {
    case move(Spot)
    case line(Spot)
    case quadratic(Spot, Spot) // by a point, to another
    case cubic(Spot, Spot, Spot) // by two points, to another
    case close
}

extension Curve {
    /// Of SVG's path data with the absolute commands M, L, H, V, C, Q and Z. Throws a Refusal with what else stands there.
    static func path(_ data: String) throws -> [Curve] {
        var reader = PathReader(try PathReader.words(data))
        return try reader.curves()
    }

    /// The points that it is made of.
    var spots: [Spot] {
        switch self {
        case .move(let to), .line(let to): return [to]
        case .quadratic(let by, let to): return [by, to]
        case .cubic(let one, let two, let to): return [one, two, to]
        case .close: return []
        }
    }
}

private struct PathReader {
    enum Word: Equatable {
        case command(Character)
        case number(Double)
    }

    private let words: [Word]
    private var at = 0
    private var here = Spot(x: 0, y: 0)
    private var start = Spot(x: 0, y: 0)

    init(_ words: [Word]) {
        self.words = words
    }

    /// Commands and numbers; commas and blanks lie between them.
    static func words(_ data: String) throws -> [Word] {
        var (found, number): ([Word], String) = ([], "")
        func say() throws {
            guard !number.isEmpty else { return }
            guard let value = Double(number), value.isFinite else { throw Refusal("\(number) is no number of a path") }
            found.append(.number(value))
            number = ""
        }
        for letter in data {
            if "MLHVCQZ".contains(letter) {
                try say()
                found.append(.command(letter))
            } else if letter == "," || letter.isWhitespace {
                try say()
            } else {
                if letter == "-" || letter == "+", let last = number.last, last != "e", last != "E" { try say() }
                number.append(letter)
            }
        }
        try say()
        return found
    }

    /// Throws a Refusal.
    mutating func curves() throws -> [Curve] {
        var found: [Curve] = []
        while at < words.count {
            guard case .command(var command) = words[at] else { throw Refusal("a path begins with a number") }
            guard command == "M" || !found.isEmpty else { throw Refusal("a path begins with \(command); wanted M") }
            at += 1
            repeat {
                found.append(try curve(command))
                if command == "M" { command = "L" } // what follows the first point is lines
            } while command != "Z" && more
        }
        return found
    }

    private var more: Bool {
        guard at < words.count, case .number = words[at] else { return false }
        return true
    }

    private mutating func curve(_ command: Character) throws -> Curve {
        switch command {
        case "M":
            start = try spot()
            return .move(start)
        case "L": return .line(try spot())
        case "H": return .line(go(Spot(x: try number(), y: here.y)))
        case "V": return .line(go(Spot(x: here.x, y: try number())))
        case "Q": return .quadratic(try spot(), try spot())
        case "C": return .cubic(try spot(), try spot(), try spot())
        default: // Z; words lets no other through
            here = start
            return .close
        }
    }

    private mutating func go(_ spot: Spot) -> Spot {
        here = spot
        return spot
    }

    private mutating func spot() throws -> Spot {
        let x = try number()
        return go(Spot(x: x, y: try number()))
    }

    private mutating func number() throws -> Double {
        guard at < words.count, case .number(let value) = words[at] else { throw Refusal("a path ends within a point") }
        at += 1
        return value
    }
}
