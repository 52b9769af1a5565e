import SwiftUI

/// A drawing's lines, as large as fits.
struct DrawingView: View {
    let drawing: Drawing

    var body: some View {
        Canvas { context, size in
            let box = drawing.box
            let scale = min(Double(size.width) / box.width, Double(size.height) / box.height)
            let place = CGAffineTransform(translationX: -box.x, y: -box.y)
                .concatenating(CGAffineTransform(scaleX: scale, y: scale))
            for line in drawing.lines {
                context.stroke(path(line).applying(place), with: .color(color(line)), style: style(line))
            }
        }
        .aspectRatio(drawing.box.shape, contentMode: .fit)
        .background(.white)
        .border(.secondary)
        .accessibilityLabel("A drawing of \(drawing.lines.count) lines")
    }

    private func path(_ line: Drawing.Line) -> Path {
        var path = Path()
        for curve in line.curves {
            switch curve {
            case .move(let to): path.move(to: to.point)
            case .line(let to): path.addLine(to: to.point)
            case .quadratic(let by, let to): path.addQuadCurve(to: to.point, control: by.point)
            case .cubic(let one, let two, let to): path.addCurve(to: to.point, control1: one.point, control2: two.point)
            case .close: path.closeSubpath()
            }
        }
        return path
    }

    /// A colour for each class, in the order in which they come.
    private func color(_ line: Drawing.Line) -> Color {
        let colors: [Color] = [.black, .blue, .red, .green, .orange, .purple]
        return colors[(drawing.kinds.firstIndex(of: line.kind) ?? 0) % colors.count]
    }

    private func style(_ line: Drawing.Line) -> StrokeStyle {
        StrokeStyle(lineWidth: 1.5, lineCap: .round, lineJoin: .round, dash: line.kind == "fold" ? [6, 4] : [])
    }
}

extension Spot {
    var point: CGPoint { CGPoint(x: x, y: y) }
}
