import CoreGraphics
import CoreML

/// A model that makes XML of a picture. Not to be used from two threads at once.
final class Writer {
    let about: About
    let grammar: Grammar
    private let decoder: GreedyDecoder<CoreMLNetwork>

    /// Throws a Refusal for models that do not belong together.
    init(_ encoder: MLModel, _ step: MLModel, _ grammar: Grammar) throws {
        about = try Models.about(encoder)
        guard try Models.about(step).id == about.id, grammar.id == about.id else {
            throw Refusal("the parts of \(about.name) are of different exports; put one export in place with: make app-model BUNDLE=...")
        }
        self.grammar = grammar
        decoder = GreedyDecoder(try CoreMLNetwork(encoder, step, about.resize), grammar)
    }

    /// Of an upright picture. Throws a Refusal. `told` hears how many tokens there are.
    func answer(_ picture: CGImage, hurry: () -> Bool, told: (Int) -> Void) throws -> Answer {
        do {
            return try decoder.decode(picture, hurry: hurry, told: told)
        } catch let refusal as Refusal {
            throw refusal
        } catch {
            throw Refusal("the model cannot be run here: \(error.localizedDescription)")
        }
    }
}

/// The exported encoder and step. The caches are inputs and outputs of the step, as long as the longest document.
struct CoreMLNetwork: Network {
    struct Memory {
        let keys: MLFeatureValue
        let values: MLFeatureValue
    }

    private let encoder: MLModel
    private let step: MLModel
    private let resize: Resize
    private let image: MLImageConstraint
    private let shape: [NSNumber] // of a cache

    /// Throws a Refusal where the models lack an input.
    init(_ encoder: MLModel, _ step: MLModel, _ resize: Resize) throws {
        guard let image = encoder.modelDescription.inputDescriptionsByName["image"]?.imageConstraint,
            let shape = step.modelDescription.inputDescriptionsByName["cache_keys"]?.multiArrayConstraint?.shape
        else { throw Refusal("the models have other inputs than image and cache_keys; export the bundle again") }
        (self.encoder, self.step, self.resize, self.image, self.shape) = (encoder, step, resize, image, shape)
    }

    func encode(_ picture: CGImage) throws -> Memory {
        let fitted = try Pixels.fitted(picture, width: image.pixelsWide, height: image.pixelsHigh, resize: resize)
        let input = try MLFeatureValue(cgImage: fitted, constraint: image)
        let said = try encoder.prediction(from: MLDictionaryFeatureProvider(dictionary: ["image": input]))
        return Memory(keys: try value("memory_keys", said), values: try value("memory_values", said))
    }

    func empty() throws -> Memory {
        Memory(keys: MLFeatureValue(multiArray: try zeros()), values: MLFeatureValue(multiArray: try zeros()))
    }

    func step(token: Int, position: Int, caches: Memory, memory: Memory) throws -> (logits: [Float], caches: Memory) {
        // A document is one piece of work: without a pool of its own each step's caches would stay until the last.
        try autoreleasepool { try stepped(token, position, caches, memory) }
    }

    private func stepped(_ token: Int, _ position: Int, _ caches: Memory, _ memory: Memory) throws -> (logits: [Float], caches: Memory) {
        let inputs: [String: MLFeatureValue] = [
            "token": try whole(token), "position": try whole(position),
            "cache_keys": caches.keys, "cache_values": caches.values,
            "memory_keys": memory.keys, "memory_values": memory.values,
        ]
        let said = try step.prediction(from: MLDictionaryFeatureProvider(dictionary: inputs))
        guard let logits = try value("logits", said).multiArrayValue else { throw Refusal("the step's logits are no numbers") }
        let written = Memory(keys: try value("new_cache_keys", said), values: try value("new_cache_values", said))
        return ((0..<logits.count).map { logits[$0].floatValue }, written)
    }

    private func value(_ name: String, _ said: MLFeatureProvider) throws -> MLFeatureValue {
        guard let value = said.featureValue(for: name) else {
            throw Refusal("the model gives no \(name); export the bundle again")
        }
        return value
    }

    private func whole(_ number: Int) throws -> MLFeatureValue {
        let array = try MLMultiArray(shape: [1], dataType: .int32)
        array[0] = NSNumber(value: number)
        return MLFeatureValue(multiArray: array)
    }

    private func zeros() throws -> MLMultiArray {
        let array = try MLMultiArray(shape: shape, dataType: .float32)
        array.withUnsafeMutableBytes { bytes, _ in _ = bytes.initializeMemory(as: UInt8.self, repeating: 0) }
        return array
    }
}
