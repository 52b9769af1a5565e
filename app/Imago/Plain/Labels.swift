/// One label's score as people read it.
struct ScoredLabel: Equatable {
    let name: String
    let probability: Double
    let present: Bool? // only where a picture may have several labels

    var percent: String { percentage(probability) }
}

/// "97.3 %", with one place, whatever the phone's language is.
func percentage(_ share: Double) -> String {
    let tenths = Int((min(max(0, share), 1) * 1000).rounded()) // in this order what is no number is 0
    return "\(tenths / 10).\(tenths % 10) %"
}

extension ScoredLabel {
    /// The best `top`; of several labels a picture (there are thresholds) all that are present, however many, and each says it. Best first.
    static func best(_ scores: [String: Double], top: Int, thresholds: [String: Double]) -> [ScoredLabel] {
        let all = scores.map { name, score in
            ScoredLabel(name: name, probability: score.isFinite ? score : 0, present: thresholds[name].map { score >= $0 })
        }
        let sorted = all.sorted { ($1.probability, $0.name) < ($0.probability, $1.name) }
        return sorted.enumerated().filter { $0 < top || $1.present == true }.map(\.element)
    }
}
