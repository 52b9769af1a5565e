// swift-tools-version:5.7
// The part of the app without Apple's frameworks, so that its tests run on Linux too: swift test. The app itself is made from project.yml.
import PackageDescription

let package = Package(
    name: "Imago",
    targets: [
        .target(name: "Imago", path: "Imago/Plain"),
        .testTarget(name: "ImagoTests", dependencies: ["Imago"], path: "Tests/ImagoTests"),
    ]
)
