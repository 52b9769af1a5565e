import CoreML
import Foundation

/// A model of the app's resources, open.
enum Loaded {
    case classifier(Classifier)
    case writer(Writer)

    var about: About {
        switch self {
        case .classifier(let classifier): return classifier.about
        case .writer(let writer): return writer.about
        }
    }
}

/// The exported models in the app's resources, which Xcode compiled.
enum Models {
    /// Throws a Refusal.
    static func found(in bundle: Foundation.Bundle = .main) throws -> [Found] {
        try Shelf.found(models: names(bundle, "mlmodelc"), grammars: names(bundle, "json").filter { $0.hasSuffix("-grammar") })
    }

    /// Throws a Refusal.
    static func load(_ found: Found, from bundle: Foundation.Bundle = .main) throws -> Loaded {
        switch found {
        case .classifier(let name):
            return .classifier(try Classifier(try model(name, bundle), name))
        case .writer(let title, let grammar):
            let encoder = try model("\(title)-encoder", bundle)
            let step = try model("\(title)-step", bundle)
            return .writer(try Writer(encoder, step, Grammar.read(try data(grammar, bundle))))
        }
    }

    /// What the model says of its bundle. Throws a Refusal for one that is none of Imago's.
    static func about(_ model: MLModel) throws -> About {
        let description = model.modelDescription
        let metadata = description.metadata[.creatorDefinedKey] as? [String: String] ?? [:]
        return try About.read(metadata, labels: description.classLabels?.map { "\($0)" } ?? [])
    }

    private static func names(_ bundle: Foundation.Bundle, _ ending: String) -> [String] {
        (bundle.urls(forResourcesWithExtension: ending, subdirectory: nil) ?? []).map { $0.deletingPathExtension().lastPathComponent }
    }

    private static func model(_ name: String, _ bundle: Foundation.Bundle) throws -> MLModel {
        guard let url = bundle.url(forResource: name, withExtension: "mlmodelc") else {
            throw Refusal("\(name) is missing; put it in place with: make app-model BUNDLE=...")
        }
        let configuration = MLModelConfiguration()
        #if targetEnvironment(simulator)
            configuration.computeUnits = .cpuOnly // with its GPU Vision says "could not create inference context"
        #endif
        do {
            return try MLModel(contentsOf: url, configuration: configuration)
        } catch {
            throw Refusal("\(name) cannot be opened by Core ML: \(error.localizedDescription)")
        }
    }

    private static func data(_ name: String, _ bundle: Foundation.Bundle) throws -> Data {
        guard let data = bundle.url(forResource: name, withExtension: "json").flatMap({ try? Data(contentsOf: $0) }) else {
            throw Refusal("\(name).json cannot be read; put it in place with: make app-model BUNDLE=...")
        }
        return data
    }
}
