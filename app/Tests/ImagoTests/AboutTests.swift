import XCTest

@testable import Imago

final class AboutTests: XCTestCase {
    private let id = String(repeating: "ab", count: 32)

    func testMetadataOfOneLabelAPicture() throws {
        let said = ["imago.name": "pieces", "imago.id": id, "imago.scores": "softmax", "imago.resize": "squash"]
        let about = try About.read(said, labels: ["a", "b"])
        XCTAssertEqual(about, About(name: "pieces", id: id, resize: .squash, thresholds: [:]))
        XCTAssertEqual(about.title, "pieces-abababab")
    }

    func testMetadataOfSeveralLabelsAPicture() throws {
        let said = [
            "imago.name": "tags", "imago.id": id, "imago.scores": "sigmoid", "imago.resize": "pad",
            "imago.thresholds": "[0.5, 0.25]",
        ]
        XCTAssertEqual(try About.read(said, labels: ["a", "b"]).thresholds, ["a": 0.5, "b": 0.25])
        XCTAssertThrowsError(try About.read(said, labels: ["a"])) { error in
            XCTAssertEqual("\(error)", "tags: 2 thresholds, 1 wanted; export the bundle again")
        }
    }

    func testAModelOfSomebodyElseIsRefused() {
        XCTAssertThrowsError(try About.read(["author": "me"], labels: [])) { error in
            XCTAssertTrue("\(error)".hasPrefix("this Core ML model is not one that Imago exported"), "\(error)")
        }
        XCTAssertThrowsError(try About.read(["imago.name": "a", "imago.id": id], labels: [])) { error in
            XCTAssertEqual("\(error)", "a: the model does not say how pictures are resized; export the bundle again")
        }
    }
}
