import CoreGraphics
import Foundation
import ImageIO

/// Pictures as models want them.
enum Pixels {
    /// A photo's longer side is not decoded larger than this; models see far less.
    private static let most = 2048

    /// A photo's bytes, upright, what is transparent on white as the bundle's own preprocessing has it. Throws a Refusal for what is no picture.
    static func photo(_ data: Data) throws -> CGImage {
        let options: [CFString: Any] = [
            kCGImageSourceCreateThumbnailFromImageAlways: true,
            kCGImageSourceCreateThumbnailWithTransform: true, // as its EXIF says
            kCGImageSourceThumbnailMaxPixelSize: most,
        ]
        guard let source = CGImageSourceCreateWithData(data as CFData, nil),
            let picture = CGImageSourceCreateThumbnailAtIndex(source, 0, options as CFDictionary)
        else { throw Refusal("this file is no picture that can be read; choose another one") }
        return try fitted(picture, width: picture.width, height: picture.height, resize: .squash)
    }

    /// The picture at the model's size, on white, as the bundle's own preprocessing lays it.
    static func fitted(_ picture: CGImage, width: Int, height: Int, resize: Resize) throws -> CGImage {
        guard let space = CGColorSpace(name: CGColorSpace.sRGB),
            let context = CGContext(
                data: nil, width: width, height: height, bitsPerComponent: 8, bytesPerRow: 0, space: space,
                bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
        else { throw Refusal("there is no memory for a picture of \(width) x \(height)") }
        context.setFillColor(CGColor(red: 1, green: 1, blue: 1, alpha: 1))
        context.fill(CGRect(x: 0, y: 0, width: width, height: height))
        context.interpolationQuality = .high
        let fit = Fit(picture: (picture.width, picture.height), target: (width, height), resize: resize)
        // Core Graphics counts from below.
        let below = Double(height) - fit.y - fit.height
        context.draw(picture, in: CGRect(x: fit.x, y: below, width: fit.width, height: fit.height))
        guard let made = context.makeImage() else { throw Refusal("the picture cannot be drawn") }
        return made
    }
}
