import SwiftUI

/// A document: how far it is to be believed, its drawing where it is one, and its text.
struct AnswerView: View {
    let answer: Answer
    let verdict: String

    var body: some View {
        ScrollView {
            VStack(alignment: .leading, spacing: 12) {
                HStack {
                    Text(verdict).font(.callout)
                    Spacer()
                    ShareLink(item: answer.xml)
                }
                if let drawing { DrawingView(drawing: drawing) }
                Text(answer.xml).font(.caption.monospaced()).textSelection(.enabled)
            }
            .padding(.horizontal)
        }
    }

    private var drawing: Drawing? { try? Drawing(answer.events) }
}
