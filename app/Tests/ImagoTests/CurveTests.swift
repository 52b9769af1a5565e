import XCTest

@testable import Imago

final class CurveTests: XCTestCase {
    func testEveryAbsoluteCommandIsRead() throws {
        let curves = try Curve.path("M 1 2 L 3 4 H 5 V 6 Q 1 2 3 4 C 1 2 3 4 5 6 Z")
        XCTAssertEqual(
            curves,
            [
                .move(Spot(x: 1, y: 2)), .line(Spot(x: 3, y: 4)), .line(Spot(x: 5, y: 4)), .line(Spot(x: 5, y: 6)),
                .quadratic(Spot(x: 1, y: 2), Spot(x: 3, y: 4)),
                .cubic(Spot(x: 1, y: 2), Spot(x: 3, y: 4), Spot(x: 5, y: 6)), .close,
            ])
    }

    func testACommandIsSaidOnceForManyPointsAndSignsSetNumbersOff() throws {
        XCTAssertEqual(
            try Curve.path("M0,0 10-5,1e-1 2"),
            [.move(Spot(x: 0, y: 0)), .line(Spot(x: 10, y: -5)), .line(Spot(x: 0.1, y: 2))])
    }

    func testAfterTheEndOfALineOneIsWhereItBegan() throws {
        let curves = try Curve.path("M 1 2 L 9 9 Z H 4")
        XCTAssertEqual(curves.last, .line(Spot(x: 4, y: 2)))
    }

    func testWhatIsNoPathIsRefused() {
        let wrong = [
            "1 2": "a path begins with a number", "L 1 2": "a path begins with L; wanted M",
            "M 1": "a path ends within a point", "M 1 2 C 1 2 3": "a path ends within a point",
            "M 1 2 l 3 4": "l is no number of a path", "M 1 nan": "nan is no number of a path",
        ]
        for (data, sentence) in wrong {
            XCTAssertThrowsError(try Curve.path(data)) { XCTAssertEqual("\($0)", sentence) }
        }
        XCTAssertEqual(try Curve.path(" "), [])
    }
}
