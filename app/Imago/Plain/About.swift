import Foundation

/// How a picture gets the size of the model's input: both sides to it, the middle that has its shape, or all of it on white.
enum Resize: String, Decodable {
    case squash, crop, pad
}

/// What an exported model says of its bundle, from its metadata.
struct About: Equatable {
    let name: String
    let id: String // 64 hex digits
    let resize: Resize
    let thresholds: [String: Double] // of several labels a picture: `present` from there on; else none

    var title: String { "\(name)-\(id.prefix(8))" }

    /// From the user-defined metadata and the class labels in output order. Throws a Refusal for a model that is none of Imago's.
    static func read(_ metadata: [String: String], labels: [String]) throws -> About {
        guard let name = metadata["imago.name"], let id = metadata["imago.id"] else {
            throw Refusal("this Core ML model is not one that Imago exported; make one with: imago export BUNDLE --to coreml")
        }
        guard let resize = metadata["imago.resize"].flatMap(Resize.init) else {
            throw Refusal("\(name): the model does not say how pictures are resized; export the bundle again")
        }
        guard metadata["imago.scores"] == "sigmoid" else {
            return About(name: name, id: id, resize: resize, thresholds: [:])
        }
        let numbers = try? JSONDecoder().decode([Double].self, from: Data((metadata["imago.thresholds"] ?? "").utf8))
        guard let numbers, numbers.count == labels.count else {
            throw Refusal("\(name): \(numbers?.count ?? 0) thresholds, \(labels.count) wanted; export the bundle again")
        }
        let thresholds = Dictionary(zip(labels, numbers), uniquingKeysWith: { first, _ in first })
        return About(name: name, id: id, resize: resize, thresholds: thresholds)
    }
}
