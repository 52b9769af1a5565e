import SwiftUI

/// The best labels, each with its percentage and a bar.
struct LabelsView: View {
    let labels: [ScoredLabel]

    var body: some View {
        VStack(spacing: 6) {
            ForEach(labels, id: \.name) { label in
                HStack {
                    Text(label.name)
                    if label.present == true { Image(systemName: "checkmark.circle.fill").accessibilityLabel("present") }
                    Spacer()
                    Text(label.percent).monospacedDigit()
                }
                .foregroundColor(label.present == false ? .secondary : .primary)
                .accessibilityElement(children: .combine)
                ProgressView(value: min(max(label.probability, 0), 1)).accessibilityHidden(true)
            }
        }
        .padding(.horizontal)
    }
}
