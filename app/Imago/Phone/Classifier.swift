import CoreGraphics
import CoreML
import Vision

/// A model that gives labels, asked through Vision. Not to be used from two threads at once.
final class Classifier {
    let about: About
    private let request: VNCoreMLRequest
    private let size: (width: Int, height: Int)

    /// Throws a Refusal for what is no classifier with a picture as its input.
    init(_ model: MLModel, _ name: String) throws {
        about = try Models.about(model)
        guard let input = model.modelDescription.inputDescriptionsByName["image"]?.imageConstraint,
            let vision = try? VNCoreMLModel(for: model), model.modelDescription.predictedFeatureName != nil
        else { throw Refusal("\(name) does not give labels of a picture; export the bundle again") }
        size = (input.pixelsWide, input.pixelsHigh)
        request = VNCoreMLRequest(model: vision)
        request.imageCropAndScaleOption = about.resize.option
    }

    /// Of an upright picture, best first. Throws a Refusal.
    func labels(_ picture: CGImage, top: Int = 5) throws -> [ScoredLabel] {
        // Vision pads with black and bundles with white, so what is padded comes at its size, and nothing is left to pad.
        let shown = about.resize == .pad
            ? try Pixels.fitted(picture, width: size.width, height: size.height, resize: .pad) : picture
        do {
            try VNImageRequestHandler(cgImage: shown, orientation: .up).perform([request])
        } catch {
            throw Refusal("the model cannot be run here: \(error.localizedDescription)")
        }
        guard let found = request.results as? [VNClassificationObservation], !found.isEmpty else {
            throw Refusal("\(about.name) gives no labels; export the bundle again")
        }
        let scores = Dictionary(found.map { ($0.identifier, Double($0.confidence)) }, uniquingKeysWith: max)
        return ScoredLabel.best(scores, top: top, thresholds: about.thresholds)
    }
}

extension Resize {
    /// How Vision does the same.
    var option: VNImageCropAndScaleOption {
        switch self {
        case .squash: return .scaleFill
        case .crop: return .centerCrop
        case .pad: return .scaleFit
        }
    }
}
