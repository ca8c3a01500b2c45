// SPDX-License-Identifier: Apache-2.0
import CDaemonSystem

/// Listening sockets that the service manager has made: the protocol of sd_listen_fds(3), without its library.
struct Activation {
  static let first: Int32 = 3
  private static let most: Int32 = 64

  let descriptors: [Int32]
  /// By what name the manager gave each; "wss" asks for TLS.
  private let names: [Substring]

  /// The descriptors that are meant for this process; none without the variables.
  static func announced(_ environment: [String: String], process: Int32) -> [Int32] {
    guard environment["LISTEN_PID"] == "\(process)", let count = environment["LISTEN_FDS"].flatMap({ Int32($0) }), count > 0, count <= most
    else { return [] }
    return Array(first..<first + count)
  }

  /// nil without any; a sentence if one is no stream socket that listens.
  static func take(_ environment: [String: String], process: Int32) -> Result<Activation?, Surroundings.Sentence> {
    let descriptors = announced(environment, process: process)
    if descriptors.isEmpty { return .success(nil) }
    for descriptor in descriptors {
      if daemon_is_listening(descriptor) != 1 {
        return .failure(Surroundings.Sentence(text: "descriptor \(descriptor) of LISTEN_FDS is no stream socket that listens"))
      }
      if daemon_close_on_exec(descriptor) < 0 { return .failure(Surroundings.Sentence(text: systemError())) }
    }
    let names = (environment["LISTEN_FDNAMES"] ?? "").split(separator: ":", omittingEmptySubsequences: false)
    return .success(Activation(descriptors: descriptors, names: names))
  }

  /// Where the hub is to listen, in the library's form. The hub works with copies: what comes after its end waits for the
  /// next process.
  var addresses: [String] {
    descriptors.indices.map { place in
      let isSecure = place < names.count && names[place] == "wss"
      return "\(isSecure ? "wss://" : "")fd:\(descriptors[place])"
    }
  }
}
