// SPDX-License-Identifier: Apache-2.0
import CDaemonSystem
import CPulseWS
import Glibc
import Synchronization

/// Listening sockets that the service manager has made: the protocol of sd_listen_fds(3), without its library.
///
/// The library takes no listening descriptor, but connections (`pulsews_hub_adopt`): a thread accepts them and hands them over.
final class Activation: Sendable {
  static let first: Int32 = 3
  private static let most: Int32 = 64

  let descriptors: [Int32]
  private let stopping = daemon_event_descriptor()
  private let isStopped = Mutex(false)

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
      if daemon_set_flags(descriptor) < 0 { return .failure(Surroundings.Sentence(text: systemError())) }
    }
    return .success(Activation(descriptors))
  }

  private init(_ descriptors: [Int32]) { self.descriptors = descriptors }

  /// Hands over connections until `stop`; `problem` gets what goes wrong.
  func begin(_ hub: LibraryHub, problem: @escaping @Sendable (String) -> Void) -> String? {
    startThread("accept") { [self] in
      var polled = (descriptors + [stopping]).map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      while true {
        if poll(&polled, nfds_t(polled.count), -1) < 0 {
          if errno == EINTR { continue }
          return problem("connections can't be waited for: \(systemError())")
        }
        if isStopped.withLock({ $0 }) { return }
        for entry in polled.dropLast() where entry.revents != 0 { accept(entry.fd, hub, problem) }
      }
    }
  }

  private func accept(_ descriptor: Int32, _ hub: LibraryHub, _ problem: (String) -> Void) {
    // So many at a time: other sockets have their turn.
    for _ in 0..<64 {
      if isStopped.withLock({ $0 }) { return }
      let connection = daemon_accept(descriptor)
      if connection < 0 {
        if errno == EAGAIN { return }
        problem("a connection could not be taken: \(systemError())")
        // Without a descriptor to spare the same one would be there at once: a moment later others have ended.
        usleep(100_000)
        return
      }
      let code = pulsews_hub_adopt(hub.handle, connection, nil, 0)
      if code != OK.code {
        close(connection)
        problem("a connection could not be handed over: \(text(pulsews_error_text(code)))")
      }
    }
  }

  /// No more connections are taken: those that come wait for the next process.
  func stop() {
    isStopped.withLock { $0 = true }
    daemon_event_set(stopping)
  }
}
