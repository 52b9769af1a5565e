import Foundation
import XCTest

@testable import Imago

final class GrammarTests: XCTestCase {
    func testTheGrammarOfSheetsSaysWhatItsBundleSays() throws {
        let grammar = try Fixture.read("sheets.json").grammar
        XCTAssertEqual(grammar.title, "sheets-a5ce925b")
        XCTAssertEqual(grammar.tokens.count, 265)
        XCTAssertEqual(grammar.mostTokens, 400)
        XCTAssertEqual(grammar.resize, .pad)
        XCTAssertTrue(grammar.drawing)
    }

    func testWhatIsNoGrammarIsRefusedInASentence() {
        for data in ["", "{}", "[1]", #"{"format":"imago-grammar-2"}"#] {
            XCTAssertThrowsError(try Grammar.read(Data(data.utf8))) { error in
                XCTAssertTrue("\(error)".hasPrefix("the grammar beside the model cannot be read; export"), "\(error)")
            }
        }
    }

    func testANodeThatIsNotThereIsRefused() throws {
        let text = """
            {"format":"imago-grammar-1","name":"a","id":"b","resize":"pad","most_tokens":9,
            "sure":{"score":0,"least":0,"iou":null},"bounds":{"depth":2,"ways":2,"states":2},"drawing":false,
            "names":{"roots":{},"elements":{},"attributes":{}},"tokens":[["start",""]],"start":0,
            "nodes":[{"sequence":[7],"costs":[0]}]}
            """
        XCTAssertThrowsError(try Grammar.read(Data(text.utf8))) { error in
            XCTAssertTrue("\(error)".contains("is not one of imago-grammar-1"), "\(error)")
        }
        XCTAssertNoThrow(try Grammar.read(Data(text.replacingOccurrences(of: "[7]", with: "[]").utf8)))
    }
}
