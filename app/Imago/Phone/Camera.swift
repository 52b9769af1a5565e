import AVFoundation
import CoreImage

/// The back camera's pictures, upright, one whenever the one before has been dealt with.
final class Camera: NSObject {
    let session = AVCaptureSession()
    private let context = CIContext()
    private let seen: (CGImage) -> Void // on Work.queue

    init(seen: @escaping (CGImage) -> Void) {
        self.seen = seen
    }

    /// Asks for permission the first time. `refused` hears one sentence, on the main queue, where there will be no pictures.
    func start(refused: @escaping (String) -> Void) {
        AVCaptureDevice.requestAccess(for: .video) { [weak self] allowed in
            Work.queue.async { [weak self] in
                do {
                    guard allowed else {
                        throw Refusal("Imago may not use the camera; allow it in Settings under Imago, or choose a photo")
                    }
                    try self?.run()
                } catch {
                    DispatchQueue.main.async { refused(Work.sentence(error)) }
                }
            }
        }
    }

    /// On Work.queue.
    func stop() {
        if session.isRunning { session.stopRunning() }
    }

    private func run() throws {
        if session.inputs.isEmpty { try connect() }
        if !session.isRunning { session.startRunning() }
    }

    private func connect() throws {
        guard let device = AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: .back) else {
            throw Refusal("this device has no camera; choose a photo")
        }
        let output = AVCaptureVideoDataOutput()
        output.alwaysDiscardsLateVideoFrames = true
        output.setSampleBufferDelegate(self, queue: Work.queue)
        session.beginConfiguration()
        defer { session.commitConfiguration() }
        if session.canSetSessionPreset(.hd1280x720) { session.sessionPreset = .hd1280x720 }
        guard let input = try? AVCaptureDeviceInput(device: device), session.canAddInput(input), session.canAddOutput(output)
        else { throw Refusal("the camera is in use; close the other app, or choose a photo") }
        session.addInput(input)
        session.addOutput(output)
        output.connection(with: .video)?.standUpright()
    }
}

extension Camera: AVCaptureVideoDataOutputSampleBufferDelegate {
    func captureOutput(_ output: AVCaptureOutput, didOutput sample: CMSampleBuffer, from connection: AVCaptureConnection) {
        guard let buffer = CMSampleBufferGetImageBuffer(sample) else { return }
        let picture = CIImage(cvPixelBuffer: buffer)
        if let made = context.createCGImage(picture, from: picture.extent) { seen(made) }
    }
}

extension AVCaptureConnection {
    /// The app stands upright always, and so do its pictures.
    func standUpright() {
        if #available(iOS 17, *) {
            if isVideoRotationAngleSupported(90) { videoRotationAngle = 90 }
        } else if isVideoOrientationSupported {
            videoOrientation = .portrait
        }
    }
}
