/// Where a picture is drawn to be the model's input, in whole pixels as bundle/image.py has it; on white.
struct Fit: Equatable {
    let x, y, width, height: Double

    init(picture: (width: Int, height: Int), target: (width: Int, height: Int), resize: Resize) {
        let (wide, high) = (Double(target.width), Double(target.height))
        let scales = (wide / Double(max(picture.width, 1)), high / Double(max(picture.height, 1)))
        switch resize {
        case .squash:
            (x, y, width, height) = (0, 0, wide, high)
        case .crop:
            (width, height) = Fit.sides(picture, max(scales.0, scales.1))
            (x, y) = ((wide - width) / 2, (high - height) / 2)
        case .pad:
            (width, height) = Fit.sides(picture, min(scales.0, scales.1))
            (x, y) = (((wide - width) / 2).rounded(.down), ((high - height) / 2).rounded(.down))
        }
    }

    private static func sides(_ picture: (width: Int, height: Int), _ scale: Double) -> (Double, Double) {
        // Python rounds halves to even.
        let sides = [picture.width, picture.height].map { max(1, (Double($0) * scale).rounded(.toNearestOrEven)) }
        return (sides[0], sides[1])
    }
}
