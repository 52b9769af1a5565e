import Foundation
import XCTest

@testable import Imago

/// What app/fixtures.py wrote: a grammar, and what Python makes of it.
struct Fixture: Decodable {
    struct Walked: Decodable {
        let most: Int
        let tokens: [Int]
        let masks: [String]
        let xml: String
    }

    struct Decoded: Decodable {
        let tokens: [Int]
        let xml: String
        let score: Double
        let least: Double
        let cut: Bool
    }

    let grammar: Grammar
    let walks: [Walked]
    let decoded: Decoded
    let hurried: Decoded

    /// IMAGO_FIXTURES names another folder; on a phone's simulator the source folder can be read too.
    static let folder = ProcessInfo.processInfo.environment["IMAGO_FIXTURES"].map { URL(fileURLWithPath: $0) }
        ?? URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../fixtures").standardized

    static func names() throws -> [String] {
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        return files.filter { $0.hasSuffix(".json") && $0 != "padded.json" }.sorted()
    }

    static func read(_ name: String) throws -> Fixture {
        let data = try Data(contentsOf: folder.appendingPathComponent(name))
        return try JSONDecoder().decode(Fixture.self, from: data)
    }

    static func all() throws -> [(name: String, fixture: Fixture)] {
        let found = try names().map { ($0, try read($0)) }
        XCTAssertFalse(found.isEmpty)
        return found
    }
}

/// As the fixtures have it: 3-7 for numbers in a row.
func runs(_ mask: [Bool]) -> String {
    var found: [String] = []
    var start: Int?
    for (at, allowed) in (mask + [false]).enumerated() {
        if allowed, start == nil { start = at }
        if !allowed, let from = start {
            found.append("\(from)-\(at - 1)")
            start = nil
        }
    }
    return found.joined(separator: " ")
}
