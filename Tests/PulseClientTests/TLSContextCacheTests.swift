// SPDX-License-Identifier: Apache-2.0
import Foundation
import PulseTransport
import Testing

@testable import PulseClient

/// Which clients share what was loaded.
@Suite(.serialized) struct TLSContextCacheTests {
  /// A file with the system's certificates, or any other.
  private func file(_ text: String = "") throws -> String {
    let path = NSTemporaryDirectory() + "pulsews-cache-" + UUID().uuidString
    try Data((Self.certificate + text).utf8).write(to: URL(fileURLWithPath: path))
    return path
  }

  private func context(_ settings: [(String, String)]) throws -> TLSContext {
    var options = ClientOptions()
    for (name, value) in settings { #expect(options.set(name, value) == nil) }
    return try TLSContextCache.context(options.tlsSettings)
  }

  @Test func equalSettingsShareOne() throws {
    let file = try file()
    defer { try? FileManager.default.removeItem(atPath: file) }
    let first = try context([("ca_file", file)])
    for _ in 0..<500 { #expect(try context([("ca_file", file)]) === first) }
    let system = try context([])
    #expect(try context([]) === system && system !== first)
  }

  @Test func whateverDiffersIsApart() throws {
    let file = try file()
    let copy = try self.file()
    defer { for path in [file, copy] { try? FileManager.default.removeItem(atPath: path) } }
    let pin = String(repeating: "A", count: 43) + "="
    let other = String(repeating: "B", count: 42) + "A="
    let all: [[(String, String)]] = [
      [("ca_file", file)], [("ca_file", copy)], [("ca_file", file), ("verify", "false")], [("verify", "false")],
      [("ca_file", file), ("tls_min_version", "1.3")], [("ca_file", file), ("tls_resumption", "false")],
      [("ca_file", file), ("pin_sha256", pin)], [("ca_file", file), ("pin_sha256", other)],
      [("ca_file", file), ("pin_sha256", pin), ("pin_sha256", other)],
      [("ca_file", file), ("client_key_password", "x")],
    ]
    let contexts = try all.map(context)
    for (index, one) in contexts.enumerated() {
      #expect(try context(all[index]) === one)
      for two in contexts[..<index] { #expect(one !== two) }
    }
    // The name to check is a stream's affair.
    #expect(try context(all[0] + [("server_name", "a.example")]) === contexts[0])
  }

  @Test func aChangedFileIsLoadedAgain() throws {
    let file = try file()
    defer { try? FileManager.default.removeItem(atPath: file) }
    let first = try context([("ca_file", file)])
    try Data((Self.certificate + "\n").utf8).write(to: URL(fileURLWithPath: file))
    let second = try context([("ca_file", file)])
    #expect(second !== first, "of another size")
    let new = try self.file("\n")
    #expect(rename(new, file) == 0)
    #expect(try context([("ca_file", file)]) !== second, "another file of the same size")
    try FileManager.default.removeItem(atPath: file)
    #expect(throws: TransportError.self) { try context([("ca_file", file)]) }
  }

  @Test func theNumberIsBounded() throws {
    let files = try (0..<40).map { _ in try file() }
    defer { for path in files { try? FileManager.default.removeItem(atPath: path) } }
    weak let first = try context([("ca_file", files[0])])
    #expect(first != nil, "the cache keeps it")
    for file in files[1...] { _ = try context([("ca_file", file)]) }
    #expect(first == nil)
  }

  @Test(arguments: ["exchange.example", "a-b.c_d.example.", "127.0.0.1", "::1", "xn--bcher-kva.example"])
  func serverNames(_ name: String) {
    var options = ClientOptions()
    #expect(options.set("server_name", name) == nil)
  }

  @Test(arguments: ["", "two words", "a/b", "a\nb", "ü.example", "*.example", "[::1]", "a;b", "a@b"])
  func namesThatAreNone(_ name: String) {
    var options = ClientOptions()
    guard case .badValue? = options.set("server_name", name) else { return _ = Issue.record("\(name) is taken") }
  }

  private static let certificate = """
    -----BEGIN CERTIFICATE-----
    MIIBeTCCAR+gAwIBAgIUVpv0QGyAmxbsLq3ZvQQbiTPXZFcwCgYIKoZIzj0EAwIw
    ETEPMA0GA1UEAwwGY2FjaGVkMCAXDTI2MTEyMTA3MDMzOFoYDzIxMjYxMDI4MDcw
    MzM4WjARMQ8wDQYDVQQDDAZjYWNoZWQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
    AAQgMxtNfAbBuS9RblqTj5Dwf+I71Hv8UFf5hFkEib5mLk5iRS80GVADZoBsL70W
    JvgXczah8/FR22+59mzXLe/eo1MwUTAdBgNVHQ4EFgQUHAEs0sPlmWvpbLHG5ar2
    dYsfIH8wHwYDVR0jBBgwFoAUHAEs0sPlmWvpbLHG5ar2dYsfIH8wDwYDVR0TAQH/
    BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEA+lZyhTlpuOfQ2KhZOBGbgdtmASSc
    1kDeCsKrjUpreKcCICouaQeBlJCXkLnEjBdvHEKLT6w8F6LY4lxrYIzQCNQu
    -----END CERTIFICATE-----

    """
}
