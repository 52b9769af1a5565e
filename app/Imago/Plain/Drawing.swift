/// The paths of an SVG document, to be drawn: what a model for drawings says. Other elements are not drawn.
struct Drawing: Equatable {
    struct Line: Equatable {
        let kind: String // its class
        let curves: [Curve]
    }

    /// What of the plane is seen.
    struct Box: Equatable {
        let x, y, width, height: Double
    }

    let lines: [Line]
    let kinds: [String] // each once, in the order in which they come
    let box: Box

    /// Nil where there is nothing to draw. Throws a Refusal for path data that cannot be read.
    init?(_ events: [Event]) throws {
        var reader = Elements()
        let found = events.compactMap { reader.ended($0) }
        lines = try found.filter { $0.local == "path" }.compactMap { element in
            guard let data = element.attributes["d"] else { return nil }
            return Line(kind: element.attributes["class"] ?? "", curves: try Curve.path(data))
        }
        guard !lines.isEmpty else { return nil }
        kinds = lines.map(\.kind).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
        let view = found.first { $0.local == "svg" }?.attributes["viewBox"]
        box = view.flatMap(Box.init) ?? Box(around: lines.flatMap(\.curves).flatMap(\.spots))
    }
}

extension Drawing.Box {
    /// Of a viewBox: four numbers, two sides above 0.
    init?(_ text: String) {
        let numbers = text.split(whereSeparator: { $0 == " " || $0 == "," }).compactMap { Double($0) }
        guard numbers.count == 4, numbers[2] > 0, numbers[3] > 0 else { return nil }
        self.init(x: numbers[0], y: numbers[1], width: numbers[2], height: numbers[3])
    }

    /// Width by height of what it is shown in: of a line that stands on end the view would be higher than can be drawn.
    var shape: Double { min(max(width / height, 0.5), 4) }

    init(around spots: [Spot]) {
        let (xs, ys) = (spots.map(\.x), spots.map(\.y))
        let (left, top) = (xs.min() ?? 0, ys.min() ?? 0)
        self.init(x: left, y: top, width: max((xs.max() ?? 0) - left, 1), height: max((ys.max() ?? 0) - top, 1))
    }
}

/// Elements as they end, with their attributes.
private struct Elements {
    struct Element {
        let local: String
        var attributes: [String: String] = [:]
    }

    private var open: [Element] = []
    private var words = Words()

    mutating func ended(_ event: Event) -> Element? {
        if let said = words.said(event), let name = said.attribute, let last = open.indices.last {
            open[last].attributes[name] = said.text
        }
        if case .start(let name) = event {
            open.append(Element(local: name.split(separator: "}").last.map(String.init) ?? name))
        }
        if case .end = event { return open.popLast() }
        return nil
    }
}
