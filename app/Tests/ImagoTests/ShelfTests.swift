import XCTest

@testable import Imago

final class ShelfTests: XCTestCase {
    func testAClassifierAndAWriterAreFound() throws {
        let found = try Shelf.found(models: ["pieces-1", "a-2-step", "a-2-encoder"], grammars: ["a-2-grammar"])
        XCTAssertEqual(found, [.writer(title: "a-2", grammar: "a-2-grammar"), .classifier(model: "pieces-1")])
        XCTAssertEqual(found.map(\.title), ["a-2", "pieces-1"])
    }

    func testNoModelIsASentence() {
        XCTAssertThrowsError(try Shelf.found(models: [], grammars: [])) { error in
            XCTAssertTrue("\(error)".hasPrefix("there is no model in this app"), "\(error)")
        }
    }

    func testAPartThatIsMissingIsNamed() {
        XCTAssertThrowsError(try Shelf.found(models: ["a-2-encoder"], grammars: ["a-2-grammar"])) { error in
            XCTAssertTrue("\(error)".hasPrefix("a-2-step is missing"), "\(error)")
        }
        XCTAssertThrowsError(try Shelf.found(models: ["a-2-step", "b"], grammars: [])) { error in
            XCTAssertTrue("\(error)".hasPrefix("a-2-step has no grammar beside it"), "\(error)")
        }
    }
}
