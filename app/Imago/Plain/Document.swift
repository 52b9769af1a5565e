/// Writes events as XML, as `Codec.write` does: two blanks a level, characters beyond ASCII as references.
struct Document {
    private struct Open {
        let tag: String // its name, and of the root the namespaces
        var attributes = "" // a schema may let them come after what stands within
        var inside = ""
        var children = false

        func closed(level: Int) -> String {
            guard !inside.isEmpty else { return "<\(tag)\(attributes)/>" }
            let end = (children ? line(level) : "") + "</\(tag.prefix { $0 != " " })>"
            return "<\(tag)\(attributes)>\(inside)\(end)"
        }
    }

    private let names: Grammar.Names
    private var stack: [Open] = []
    private var text = ""
    private var words = Words()

    private init(_ names: Grammar.Names) {
        self.names = names
    }

    /// The text of a whole document.
    static func text(_ events: [Event], _ names: Grammar.Names) -> String {
        var document = Document(names)
        for event in events { document.add(event) }
        return document.text + "\n"
    }

    private mutating func add(_ event: Event) {
        if let said = words.said(event), let last = stack.indices.last {
            if let name = said.attribute {
                stack[last].attributes += " \(names.attributes[name] ?? name)=\"\(escaped(said.text, quoted: true))\""
            } else {
                stack[last].inside += escaped(said.text, quoted: false)
            }
        }
        if case .start(let name) = event {
            stack.append(Open(tag: (stack.isEmpty ? names.roots[name] : names.elements[name]) ?? name))
        } else if case .end = event, let open = stack.popLast() {
            close(open.closed(level: stack.count))
        }
    }

    private mutating func close(_ element: String) {
        guard let last = stack.indices.last else { return text = element }
        stack[last].inside += line(stack.count) + element
        stack[last].children = true
    }
}

/// Values and numbers, until something else comes: then they are an attribute, or a text.
struct Words {
    private var attribute: String?
    private var words: [String] = []

    /// What was said before this event; nil where it is one more word, or where nothing was said.
    mutating func said(_ event: Event) -> (attribute: String?, text: String)? {
        if case .value(let value) = event {
            words.append(value)
            return nil
        }
        if case .number(let number) = event {
            words.append(String(number))
            return nil
        }
        let nothing = attribute == nil && words.allSatisfy(\.isEmpty)
        let found = nothing ? nil : (attribute, words.joined(separator: " "))
        (attribute, words) = (nil, [])
        if case .attribute(let name) = event { attribute = name }
        return found
    }
}

private func line(_ level: Int) -> String { "\n" + String(repeating: "  ", count: level) }

/// As libxml2 escapes what stands in a text, or in an attribute.
private func escaped(_ text: String, quoted: Bool) -> String {
    var found = ""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "&": found += "&amp;"
        case "<": found += "&lt;"
        case ">": found += "&gt;"
        case "\"" where quoted: found += "&quot;"
        case "\t" where quoted, "\n" where quoted, "\r": found += "&#\(scalar.value);"
        default:
            if scalar.isASCII { found.unicodeScalars.append(scalar) } else { found += "&#\(scalar.value);" }
        }
    }
    return found
}
