// swift-tools-version: 6.3
// SPDX-License-Identifier: Apache-2.0
//
// Two modes from one source, each with a scratch path of its own:
//   the library that ships (Embedded Swift):  make library
//   unit tests, sanitizers, fuzzing (normal): swift test --disable-xctest [--sanitize=address|thread]
// An import upward or sideways between the layers does not build: a target sees only its `dependencies`.
import PackageDescription

let environment = Context.environment
let embedded = environment["PULSEWS_EMBEDDED"] == "1"
let triple = environment["PULSEWS_TRIPLE"] ?? "x86_64-unknown-linux-gnu"

func linker(_ flags: String...) -> [String] { flags.flatMap { ["-Xlinker", $0] } }

var swift: [SwiftSetting] = [.enableExperimentalFeature("Lifetimes")]
var c: [CSetting] = []
var library: [LinkerSetting] = []

if embedded {
  let unicode =
    "\(environment["PULSEWS_SWIFT_USR"] ?? "")/lib/swift/embedded/\(triple)/libswiftUnicodeDataTables.a"
  let shared = linker(
    "-soname=libpulsews.so.0",
    "--version-script=\(Context.packageDirectory)/Sources/PulseABI/exports.map",
    // nodelete: a loop's thread may run when the library is closed with dlclose.
    "-O2", "-z", "relro", "-z", "now", "-z", "defs", "-z", "nodelete", "--gc-sections", "--icf=all",
    "--no-as-needed", "-l:libpthread.so.0", "--as-needed")
  swift += [
    .enableExperimentalFeature("Embedded"),
    // Tests check exclusive access in normal mode; here a violation would be a trap in the user's process.
    .unsafeFlags(["-wmo", "-Xfrontend", "-function-sections", "-enforce-exclusivity=unchecked"]),
    // Otherwise each object file has a section for it, and code is not compiled again after a change of flags alone.
    .unsafeFlags(["-Xfrontend", "-disable-incremental-llvm-codegen"]),
  ]
  c += [
    .define("PULSEWS_EMBEDDED"),
    // All symbols are bound at the start (-z now): calls through the global offset table need no stubs.
    .unsafeFlags(["-O2", "-fvisibility=hidden", "-ffunction-sections", "-fdata-sections", "-fno-plt"]),
    // As Swift's own code has none; debuggers find them in the split debug file.
    .unsafeFlags(["-fno-asynchronous-unwind-tables", "-fno-unwind-tables"]),
  ]
  library += [.unsafeFlags(["-use-ld=lld", unicode] + shared), .linkedLibrary("m")]
}
/// For size; the functions that run for each message are marked @_optimize(speed) where that is worth an instruction.
/// The passes that are off copy loops, and functions for each closure that they are given: 1 % of the library, and no
/// instruction fewer for a message.
let copying = "loop-rotate,loop-unroll,closure-specialize,capture-prop,array-property-opt"
let compact =
  swift
  + (embedded
    ? [
      .unsafeFlags([
        "-Osize", "-Xllvm", "-inline-threshold=8", "-Xllvm", "-swiftmergefunc-threshold=10", "-Xllvm", "-sil-disable-pass=\(copying)",
      ])
    ] : [])
/// The topmost layer emits the code of the layers below, whose own object files are empty: the linker would keep every
/// module's copy of the class metadata, and take one module's constants for another's (.ci/weak_constants.py).
let deferred = compact + (embedded ? [.unsafeFlags(["-Xfrontend", "-emit-empty-object-file"])] : [])

let layers: [Target] = [
  .target(name: "CPulseSys", cSettings: c + (embedded ? [.unsafeFlags(["-Oz"])] : [])),
  .target(name: "CPulseKernels", cSettings: c),
  .target(name: "CPulseTexts", dependencies: ["CPulseKernels", "CZlib"], cSettings: c + (embedded ? [.unsafeFlags(["-Oz"])] : [])),
  .target(name: "CPulseWS", path: "include", publicHeadersPath: "."),
  .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
  .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
  .target(name: "PulseText", dependencies: ["CPulseTexts"], swiftSettings: deferred),
  .target(name: "PulseWire", dependencies: ["PulseText", "CPulseKernels", "CZlib"], swiftSettings: deferred),
  .target(name: "PulseFlow", dependencies: ["PulseText", "CPulseKernels"], swiftSettings: deferred),
  .target(name: "PulseEngine", dependencies: ["PulseText", "PulseFlow"], swiftSettings: deferred),
  .target(name: "PulseTransport", dependencies: ["PulseText", "CPulseSys", "CPulseKernels", "COpenSSL"], swiftSettings: deferred),
  .target(name: "PulseTopics", dependencies: ["PulseText", "PulseWire", "PulseFlow", "CPulseKernels"], swiftSettings: deferred),
  .target(
    name: "PulseServe", dependencies: ["PulseText", "PulseWire", "PulseFlow", "PulseTransport"], swiftSettings: deferred),
  .target(
    name: "PulseProcess", dependencies: ["CPulseTexts", "PulseText", "PulseWire", "PulseFlow", "PulseTransport", "CPulseSys"],
    swiftSettings: deferred),
  .target(
    name: "PulseClient",
    dependencies: [
      "CPulseTexts", "PulseText", "PulseWire", "PulseFlow", "PulseEngine", "PulseTransport", "PulseProcess", "CPulseSys", "CPulseKernels",
    ],
    swiftSettings: deferred),
  .target(
    name: "PulseHub",
    dependencies: [
      "CPulseTexts", "PulseText", "PulseWire", "PulseFlow", "PulseTransport", "PulseProcess", "PulseServe", "PulseTopics", "CPulseSys",
    ],
    swiftSettings: deferred),
  .target(
    name: "PulseABI",
    dependencies: [
      "CPulseWS", "CPulseSys", "PulseText", "PulseFlow", "PulseTransport", "PulseProcess", "PulseTopics", "PulseClient", "PulseHub",
    ],
    exclude: ["exports.map"],
    swiftSettings: compact, linkerSettings: library),
]

let tests: [Target] = [
  .target(
    name: "EchoServer", dependencies: ["PulseWire", "PulseTransport"], path: "Tests/Support/EchoServer",
    swiftSettings: swift),
  .testTarget(name: "PulseTextTests", dependencies: ["PulseText"], swiftSettings: swift),
  .testTarget(name: "PulseWireTests", dependencies: ["PulseWire"], swiftSettings: swift),
  .testTarget(name: "PulseFlowTests", dependencies: ["PulseFlow"], swiftSettings: swift),
  .testTarget(name: "PulseEngineTests", dependencies: ["PulseEngine", "PulseFlow", "PulseText"], swiftSettings: swift),
  .testTarget(
    name: "PulseServeTests", dependencies: ["PulseServe", "PulseText", "PulseWire", "PulseTransport", "COpenSSL"],
    swiftSettings: swift),
  .testTarget(name: "PulseTopicsTests", dependencies: ["PulseTopics", "PulseText", "PulseWire", "PulseFlow"], swiftSettings: swift),
  .testTarget(name: "PulseTransportTests", dependencies: ["PulseTransport"], swiftSettings: swift),
  .testTarget(
    name: "PulseClientTests", dependencies: ["PulseClient", "PulseProcess", "PulseTransport", "EchoServer", "CPulseSys"],
    swiftSettings: swift),
  .testTarget(
    name: "PulseHubTests",
    dependencies: ["PulseHub", "PulseClient", "PulseFlow", "PulseProcess", "PulseText", "PulseTopics", "PulseTransport"],
    swiftSettings: swift),
]

let package = Package(
  name: "pulsews",
  products: [.library(name: "pulsews", type: .dynamic, targets: ["PulseABI"])],
  targets: layers + (embedded ? [] : tests),
  swiftLanguageModes: [.v6]
)
