import Foundation
import XCTest

@testable import Imago

final class FitTests: XCTestCase {
    private struct Padded: Decodable {
        let picture: [Int]
        let target: [Int]
        let box: [Double]
    }

    func testPaddedPicturesLieWherePythonLaysThem() throws {
        let data = try Data(contentsOf: Fixture.folder.appendingPathComponent("padded.json"))
        for case let padded in try JSONDecoder().decode([Padded].self, from: data) {
            let fit = Fit(
                picture: (padded.picture[0], padded.picture[1]), target: (padded.target[0], padded.target[1]), resize: .pad)
            XCTAssertEqual([fit.x, fit.y, fit.width, fit.height], padded.box, "\(padded.picture)")
        }
    }

    func testSquashedPicturesFillTheInputAndCroppedOnesLieOverIt() {
        let squashed = Fit(picture: (640, 480), target: (96, 96), resize: .squash)
        XCTAssertEqual([squashed.x, squashed.y, squashed.width, squashed.height], [0, 0, 96, 96])
        let cropped = Fit(picture: (640, 480), target: (96, 96), resize: .crop)
        XCTAssertEqual([cropped.x, cropped.y, cropped.width, cropped.height], [-16, 0, 128, 96])
    }
}
