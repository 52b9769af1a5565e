import XCTest

@testable import Imago

final class DocumentTests: XCTestCase {
    func testEveryWalkIsWrittenAsPythonWritesIt() throws {
        for (name, fixture) in try Fixture.all() {
            let automaton = Automaton(fixture.grammar)
            for walked in fixture.walks {
                var walk = Walk(automaton, most: walked.most)
                for token in walked.tokens { try walk.push(token) }
                XCTAssertEqual(Document.text(walk.events, fixture.grammar.names), walked.xml, name)
            }
        }
    }

    func testOnlyWhatWordsSayIsATextAndBlanksDoNotBreakATag() {
        let names = Grammar.Names(roots: ["a": "a"], elements: ["b": "b"], attributes: ["c": "c"])
        let events: [Event] = [
            .start("a"), .start("b"), .attribute("c"), .value("\"\u{9}\u{a}\u{d}é"), .text, .value(""), .end,
            .start("b"), .text, .value("<\"\u{d}"), .number(-1), .end, .end,
        ]
        let wanted = "<a>\n  <b c=\"&quot;&#9;&#10;&#13;&#233;\"/>\n  <b>&lt;\"&#13; -1</b>\n</a>\n"
        XCTAssertEqual(Document.text(events, names), wanted)
    }

    func testAnAttributeThatComesAfterChildrenStillStandsInItsTag() {
        let names = Grammar.Names(roots: ["a": "a"], elements: ["b": "b"], attributes: [:])
        let events: [Event] = [.start("a"), .start("b"), .end, .attribute("c"), .end]
        XCTAssertEqual(Document.text(events, names), "<a c=\"\">\n  <b/>\n</a>\n")
    }
}
