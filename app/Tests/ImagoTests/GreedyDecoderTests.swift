import XCTest

@testable import Imago

/// The network of app/fixtures.py: its logits hang on the last token and the place alone. Caches tell that they are handed on.
private struct MadeUp: Network {
    let tokens: Int

    func encode(_ picture: Int) -> Int { picture }

    func empty() -> [Int] { [] }

    func step(token: Int, position: Int, caches: [Int], memory: Int) -> (logits: [Float], caches: [Int]) {
        XCTAssertEqual(position, caches.count)
        XCTAssertEqual(memory, 7)
        let logits = (0..<tokens).map { Float(Double(($0 * 7919 + token * 31 + position * 17) % 1009) / 100) }
        return (logits, caches + [token])
    }
}

private struct Dumb: Network {
    let logits: [Float]

    func encode(_ picture: Int) -> Int { picture }

    func empty() -> Int { 0 }

    func step(token: Int, position: Int, caches: Int, memory: Int) -> (logits: [Float], caches: Int) { (logits, caches) }
}

final class GreedyDecoderTests: XCTestCase {
    private func assertSame(_ answer: Answer, _ wanted: Fixture.Decoded, _ name: String) {
        XCTAssertEqual(answer.xml, wanted.xml, name)
        XCTAssertEqual(answer.tokens, wanted.tokens.count, name)
        XCTAssertEqual(answer.score, wanted.score, accuracy: 1e-5, name)
        XCTAssertEqual(answer.least, wanted.least, accuracy: 1e-5, name)
        XCTAssertEqual(answer.cut, wanted.cut, name)
    }

    func testItDecodesWhatPythonDecodes() throws {
        for (name, fixture) in try Fixture.all() {
            let network = MadeUp(tokens: fixture.grammar.tokens.count)
            var told: [Int] = []
            let answer = try GreedyDecoder(network, fixture.grammar).decode(7, told: { told.append($0) })
            assertSame(answer, fixture.decoded, name)
            XCTAssertEqual(told, Array(1..<(answer.tokens + 1)), name)
        }
    }

    func testInAHurryItTakesTheShortestWay() throws {
        for (name, fixture) in try Fixture.all() {
            let network = MadeUp(tokens: fixture.grammar.tokens.count)
            let answer = try GreedyDecoder(network, fixture.grammar).decode(7, hurry: { true })
            assertSame(answer, fixture.hurried, name)
        }
    }

    func testWhereTheNetworkSaysNoNumbersTheDocumentIsWholeAndNotTrusted() throws {
        let grammar = try Fixture.read("sheets.json").grammar
        let network = Dumb(logits: [Float](repeating: .nan, count: grammar.tokens.count))
        let answer = try GreedyDecoder(network, grammar).decode(7)
        XCTAssertEqual(answer.score, 0)
        XCTAssertFalse(answer.trusted(grammar.sure))
        XCTAssertTrue(answer.xml.hasSuffix("</svg>\n"))
    }

    func testAModelOfAnotherSchemaIsRefused() throws {
        let grammar = try Fixture.read("sheets.json").grammar
        XCTAssertThrowsError(try GreedyDecoder(Dumb(logits: [1, 2]), grammar).decode(7)) { error in
            XCTAssertTrue("\(error)".hasPrefix("the model gives 2 scores where the grammar has 265 tokens"), "\(error)")
        }
    }

    func testTheFirstOfTheBestIsTaken() throws {
        let best = try likeliest([9, 1, 3, 3, 2], [false, true, true, true, false])
        XCTAssertEqual(best.token, 2)
        XCTAssertEqual(best.chance, 1 / (2 + 0.1353352832366127), accuracy: 1e-12)
    }

    func testTrustHangsOnBothThresholdsAndOnTheEnd() {
        let sure = Grammar.Sure(score: 0.5, least: 0.1, iou: nil)
        func answer(_ score: Double, _ least: Double, _ cut: Bool) -> Bool {
            Answer(xml: "", events: [], tokens: 1, score: score, least: least, cut: cut).trusted(sure)
        }
        XCTAssertTrue(answer(0.5, 0.1, false))
        XCTAssertFalse(answer(0.4, 0.1, false))
        XCTAssertFalse(answer(0.5, 0.09, false))
        XCTAssertFalse(answer(0.5, 0.1, true))
    }

    func testTheVerdictSaysWhetherToLookAtIt() {
        let sure = Grammar.Sure(score: 0.5, least: 0.1, iou: nil)
        func verdict(_ score: Double, _ cut: Bool) -> String {
            Answer(xml: "", events: [], tokens: 7, score: score, least: 0.1, cut: cut).verdict(sure)
        }
        XCTAssertEqual(verdict(0.973, false), "Sure of its tokens: 97.3 % on average, 7 tokens.")
        XCTAssertEqual(verdict(0.4, false), "Not sure, look at it: 40.0 % on average, 7 tokens.")
        XCTAssertTrue(verdict(1, true).hasPrefix("A bound ended it: 7 tokens, valid"))
    }
}
