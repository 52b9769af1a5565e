import XCTest

@testable import Imago

final class DrawingTests: XCTestCase {
    func testTheDrawingOfSheetsHasItsPathsAndItsBox() throws {
        let fixture = try Fixture.read("sheets.json")
        for walked in fixture.walks {
            var walk = Walk(Automaton(fixture.grammar), most: walked.most)
            for token in walked.tokens { try walk.push(token) }
            let drawing = try XCTUnwrap(Drawing(walk.events))
            XCTAssertEqual(drawing.box, Drawing.Box(x: 0, y: 0, width: 256, height: 256))
            XCTAssertEqual(drawing.lines.count, walked.xml.components(separatedBy: "<path").count - 1)
            XCTAssertEqual(drawing.kinds.count, Set(drawing.lines.map(\.kind)).count)
            XCTAssertEqual(drawing.kinds.first, drawing.lines.first?.kind)
            XCTAssertTrue(drawing.lines.allSatisfy { ["cut", "fold", "grain"].contains($0.kind) && $0.curves.count > 1 })
        }
    }

    func testAPageIsNoDrawing() throws {
        let fixture = try Fixture.read("page.json")
        XCTAssertNil(try Drawing(Walk(Automaton(fixture.grammar), most: 40).events))
    }

    func testWithoutAViewBoxItIsWhatThePathsTake() throws {
        let events: [Event] = [
            .start("svg"), .start("path"), .attribute("d"), .value("M 10 20 L"), .number(30), .number(60), .end, .end,
        ]
        let drawing = try XCTUnwrap(Drawing(events))
        XCTAssertEqual(drawing.box, Drawing.Box(x: 10, y: 20, width: 20, height: 40))
        XCTAssertNil(Drawing.Box("0 0 0 5"))
        XCTAssertNil(Drawing.Box("0 0 a 5"))
    }

    func testALineThatStandsOnEndIsNotShownAThousandTimesAsHighAsWide() {
        let boxes = ["0 0 1 1000": 0.5, "0 0 2 1": 2, "0 0 1000 1": 4]
        for (box, shape) in boxes { XCTAssertEqual(Drawing.Box(box)?.shape, shape, box) }
    }
}
