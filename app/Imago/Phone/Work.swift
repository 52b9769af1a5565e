import Foundation

/// The one queue on which cameras, models and pictures are worked with, one after another, so that the screen never waits.
enum Work {
    // What Core ML and Core Image leave to be released goes with each piece of work, not when the queue falls idle: with a camera it never does.
    static let queue = DispatchQueue(label: "imago.work", qos: .userInitiated, autoreleaseFrequency: .workItem)

    /// What a person is told of an error.
    static func sentence(_ error: Error) -> String {
        (error as? Refusal)?.sentence ?? error.localizedDescription
    }
}
