import Foundation

/// A bundle's compiled schema, as converter/xml_grammar.py writes it.
struct Grammar: Decodable {
    /// From where on the mean probability of the tokens, the least of them and, of drawings, the area that fits count as sure.
    struct Sure: Decodable {
        let score: Double
        let least: Double
        let iou: Double?
    }

    struct Bounds: Decodable {
        let depth: Int // of elements within one another
        let ways: Int // kept to go on after one event
        let states: Int // kept at once
    }

    /// How documents spell each {namespace}local.
    struct Names: Decodable {
        let roots: [String: String] // with the namespaces that a root declares
        let elements: [String: String]
        let attributes: [String: String]
    }

    let format: String
    let name: String
    let id: String
    let resize: Resize
    let mostTokens: Int
    let sure: Sure
    let bounds: Bounds
    let drawing: Bool
    let names: Names
    let tokens: [Event] // token 0 stands before every document and is none of them
    let start: Int
    let nodes: [Node]

    enum CodingKeys: String, CodingKey {
        case format, name, id, resize, mostTokens = "most_tokens", sure, bounds, drawing, names, tokens, start, nodes
    }

    /// Throws a Refusal where the data is no grammar that can be walked along.
    static func read(_ data: Data) throws -> Grammar {
        let again = "export the bundle again with the same version of Imago"
        let grammar: Grammar
        do {
            grammar = try JSONDecoder().decode(Grammar.self, from: data)
        } catch {
            throw Refusal("the grammar beside the model cannot be read; \(again)")
        }
        guard grammar.format == "imago-grammar-1", grammar.whole else {
            throw Refusal("the grammar beside the model is not one of imago-grammar-1; \(again)")
        }
        return grammar
    }

    /// NAME-ID8, as its files are called.
    var title: String { "\(name)-\(id.prefix(8))" }

    private var whole: Bool {
        let inside = nodes.indices
        return inside.contains(start) && mostTokens > 0 && bounds.ways > 0 && bounds.states > 0
            && nodes.allSatisfy { !$0.costs.isEmpty && $0.shape.items.allSatisfy(inside.contains) }
    }
}

/// One place in the schema.
struct Node: Decodable {
    enum Shape {
        case one(Event)
        case number(least: Int, most: Int)
        case sequence([Int])
        case choice([Int])
        case maybe(Int)
        case again(Int, least: Int, most: Int)
    }

    let shape: Shape
    let costs: [Double] // tokens at least, by how many levels are free; infinite for never

    func cost(room: Int) -> Double { costs[min(max(room, 0), costs.count - 1)] }

    enum CodingKeys: String, CodingKey {
        case one, number, sequence, choice, maybe, again = "repeat", costs
    }

    init(from decoder: Decoder) throws {
        let row = try decoder.container(keyedBy: CodingKeys.self)
        costs = try row.decode([Double?].self, forKey: .costs).map { $0 ?? .infinity }
        shape = try Node.shape(row)
    }

    private static func shape(_ row: KeyedDecodingContainer<CodingKeys>) throws -> Shape {
        if let event = try row.decodeIfPresent(Event.self, forKey: .one) { return .one(event) }
        if let items = try row.decodeIfPresent([Int].self, forKey: .sequence) { return .sequence(items) }
        if let items = try row.decodeIfPresent([Int].self, forKey: .choice) { return .choice(items) }
        if let found = try row.decodeIfPresent([Int].self, forKey: .maybe), found.count == 1 { return .maybe(found[0]) }
        if let found = try row.decodeIfPresent([Int].self, forKey: .again), found.count == 3 {
            return .again(found[0], least: found[1], most: found[2])
        }
        let bounds = try row.decode([Int].self, forKey: .number)
        guard bounds.count == 2, bounds[0] <= bounds[1] else {
            throw DecodingError.dataCorruptedError(forKey: .number, in: row, debugDescription: "no bounds")
        }
        return .number(least: bounds[0], most: bounds[1])
    }
}

extension Node.Shape {
    var items: [Int] {
        switch self {
        case .one, .number: return []
        case .sequence(let items), .choice(let items): return items
        case .maybe(let item), .again(let item, _, _): return [item]
        }
    }
}
