import XCTest

@testable import Imago

final class WalkTests: XCTestCase {
    func testEveryTokenOfEveryWalkIsAllowedWhereItIsInPython() throws {
        for (name, fixture) in try Fixture.all() {
            let automaton = Automaton(fixture.grammar)
            for walked in fixture.walks {
                var walk = Walk(automaton, most: walked.most)
                for (token, mask) in zip(walked.tokens, walked.masks) {
                    XCTAssertEqual(runs(walk.mask), mask, name)
                    try walk.push(token)
                }
                XCTAssertTrue(walk.done, name)
            }
        }
    }

    func testStatesThatWereForgottenAreMadeAgain() throws {
        for (name, fixture) in try Fixture.all() {
            let automaton = Automaton(fixture.grammar.keeping(states: 3))
            for walked in fixture.walks {
                var walk = Walk(automaton, most: walked.most)
                for (token, mask) in zip(walked.tokens, walked.masks) {
                    XCTAssertEqual(runs(walk.mask), mask, name)
                    try walk.push(token)
                }
            }
        }
    }

    func testACopyGoesItsOwnWay() throws {
        let walked = try Fixture.read("page.json")
        var one = Walk(Automaton(walked.grammar), most: 40)
        let two = one
        try one.push(walked.walks[6].tokens[0])
        XCTAssertNotEqual(one.events, two.events)
        XCTAssertEqual(two.left, 40)
    }

    func testATokenThatMayNotComeIsRefused() throws {
        var walk = Walk(Automaton(try Fixture.read("sheets.json").grammar), most: 40)
        for token in [-1, 0, 1, 100_000] {
            XCTAssertThrowsError(try walk.push(token)) { XCTAssertEqual("\($0)", "token \(token) may not come here") }
        }
    }

    func testTheShortestWayEnds() throws {
        for (name, fixture) in try Fixture.all() {
            var walk = Walk(Automaton(fixture.grammar), most: 400)
            let need = walk.state.need
            XCTAssertLessThanOrEqual(Double(try walk.finish()), need, name) // what needs no choice after all costs nothing
            XCTAssertTrue(walk.done, name)
        }
    }
}

extension Grammar {
    /// The same with another bound of states.
    func keeping(states: Int) -> Grammar {
        Grammar(
            format: format, name: name, id: id, resize: resize, mostTokens: mostTokens, sure: sure,
            bounds: Bounds(depth: bounds.depth, ways: bounds.ways, states: states), drawing: drawing, names: names,
            tokens: tokens, start: start, nodes: nodes)
    }
}
