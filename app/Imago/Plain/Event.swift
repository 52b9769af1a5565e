/// What a document is made of, one after another in the schema's order. Names are Clark's {namespace}local;
/// what an attribute and a text say comes after them, as values and numbers.
enum Event: Hashable {
    case start(String)
    case attribute(String)
    case text
    case value(String)
    case number(Int)
    case end
}

extension Event: Decodable {
    /// ["start", "svg"], ["number", 3], ["end", ""].
    init(from decoder: Decoder) throws {
        var row = try decoder.unkeyedContainer()
        let kind = try row.decode(String.self)
        switch kind {
        case "start": self = .start(try row.decode(String.self))
        case "attribute": self = .attribute(try row.decode(String.self))
        case "text": self = .text
        case "value": self = .value(try row.decode(String.self))
        case "number": self = .number(try row.decode(Int.self))
        case "end": self = .end
        default: throw DecodingError.dataCorruptedError(in: row, debugDescription: "unknown event \(kind)")
        }
    }
}
