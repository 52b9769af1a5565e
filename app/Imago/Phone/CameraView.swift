import AVFoundation
import SwiftUI

/// What the camera sees.
struct CameraView: UIViewRepresentable {
    final class Preview: UIView {
        override class var layerClass: AnyClass { AVCaptureVideoPreviewLayer.self }

        var preview: AVCaptureVideoPreviewLayer? { layer as? AVCaptureVideoPreviewLayer }
    }

    let session: AVCaptureSession

    func makeUIView(context: Context) -> Preview {
        let view = Preview()
        view.preview?.session = session
        view.preview?.videoGravity = .resizeAspect // all that the model gets to see
        return view
    }

    func updateUIView(_ view: Preview, context: Context) {
        view.preview?.connection?.standUpright()
    }
}
