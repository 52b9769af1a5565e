import XCTest

@testable import Imago

final class LabelsTests: XCTestCase {
    func testTheBestComeFirstAndEqualOnesByName() {
        let labels = ScoredLabel.best(["dress": 0.25, "hat": 0.5, "bag": 0.25, "shoe": 0], top: 3, thresholds: [:])
        XCTAssertEqual(labels.map(\.name), ["hat", "bag", "dress"])
        XCTAssertEqual(labels.map(\.present), [nil, nil, nil])
    }

    func testOfSeveralLabelsAllThatArePresentAreThere() {
        let thresholds = ["a": 0.9, "b": 0.5, "c": 0.1]
        let labels = ScoredLabel.best(["a": 0.8, "b": 0.5, "c": 0.2], top: 1, thresholds: thresholds)
        XCTAssertEqual(labels.map(\.name), ["a", "b", "c"])
        XCTAssertEqual(labels.map(\.present), [false, true, true])
    }

    func testPercentagesHaveOnePlace() {
        let shown = [0: "0.0 %", 0.0004: "0.0 %", 0.97349: "97.3 %", 0.9996: "100.0 %", 1.5: "100.0 %", .nan: "0.0 %"]
        for (probability, percent) in shown {
            XCTAssertEqual(ScoredLabel(name: "", probability: probability, present: nil).percent, percent)
        }
    }

    func testAScoreThatIsNoNumberIsNone() {
        XCTAssertEqual(ScoredLabel.best(["a": .nan, "b": 0.1], top: 2, thresholds: [:]).map(\.name), ["b", "a"])
    }
}
