// swift-tools-version: 6.3
// SPDX-License-Identifier: Apache-2.0
//
// The daemon: a program of its own that uses the library by its two headers and nothing below them. `make hub` builds it.
// PULSEWS_DIST is the folder with libpulsews.so to link with.
import PackageDescription

let dist = Context.environment["PULSEWS_DIST"] ?? "\(Context.packageDirectory)/../../dist"
/// The library stands beside the program, or where the system looks.
let library: [LinkerSetting] = [.unsafeFlags(["-L\(dist)", "-Xlinker", "-rpath=$ORIGIN", "-Xlinker", "-z", "-Xlinker", "now"])]

let package = Package(
  name: "pulsews-hub",
  products: [.executable(name: "pulsews-hub", targets: ["pulsews-hub"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
    .package(url: "https://github.com/LebJe/TOMLKit", exact: "0.6.0"),
  ],
  targets: [
    .systemLibrary(name: "CPulseWS"),
    .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .target(name: "CDaemonSystem"),
    .target(name: "CDaemonHTTP", dependencies: ["CCurl"]),
    .target(
      name: "HubDaemon",
      dependencies: [
        "CPulseWS", "CDaemonSystem", "CDaemonHTTP", "TOMLKit", .product(name: "Logging", package: "swift-log"),
      ]),
    .executableTarget(
      name: "pulsews-hub",
      dependencies: ["HubDaemon", .product(name: "ArgumentParser", package: "swift-argument-parser")],
      linkerSettings: library),
    .testTarget(name: "HubDaemonTests", dependencies: ["HubDaemon"], linkerSettings: library),
  ],
  swiftLanguageModes: [.v6]
)
