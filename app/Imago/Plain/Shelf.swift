/// Which exported models lie in the app's resources, by their files' names.
enum Found: Equatable, Hashable {
    case classifier(model: String)
    case writer(title: String, grammar: String) // TITLE-encoder and TITLE-step are its models

    var title: String {
        switch self {
        case .classifier(let model): return model
        case .writer(let title, _): return title
        }
    }
}

enum Shelf {
    /// From the names of compiled models and of grammars, both without their endings. Throws a Refusal for none, and for a part that is missing.
    static func found(models: [String], grammars: [String]) throws -> [Found] {
        let writers = try grammars.sorted().map { try writer($0, models) }
        let parts = Set(writers.flatMap { ["\($0.title)-encoder", "\($0.title)-step"] })
        let alone = models.filter { !parts.contains($0) }.sorted()
        if let part = alone.first(where: { $0.hasSuffix("-encoder") || $0.hasSuffix("-step") }) {
            throw Refusal("\(part) has no grammar beside it; put the whole export in place with: make app-model BUNDLE=...")
        }
        guard !(writers.isEmpty && alone.isEmpty) else {
            throw Refusal("there is no model in this app; put one in place with: make app-model BUNDLE=... and build it again")
        }
        return writers + alone.map { .classifier(model: $0) }
    }

    private static func writer(_ grammar: String, _ models: [String]) throws -> Found {
        let title = String(grammar.dropLast("-grammar".count))
        for part in ["\(title)-encoder", "\(title)-step"] where !models.contains(part) {
            throw Refusal("\(part) is missing; put the whole export in place with: make app-model BUNDLE=...")
        }
        return .writer(title: title, grammar: grammar)
    }
}
