// SPDX-License-Identifier: Apache-2.0
import CDaemonSystem

/// Tells the service manager how the daemon is: the protocol of sd_notify(3), without its library.
struct Notify: Sendable {
  private let socket: String?
  /// How often the watchdog wants a sign of life (ns); nil: it wants none.
  let watchdog: Int64?

  init(_ environment: [String: String], process: Int32) {
    socket = environment["NOTIFY_SOCKET"].flatMap { $0.hasPrefix("/") || $0.hasPrefix("@") ? $0 : nil }
    watchdog = Notify.interval(environment, process: process)
  }

  private static func interval(_ environment: [String: String], process: Int32) -> Int64? {
    guard let microseconds = environment["WATCHDOG_USEC"].flatMap({ Int64($0) }), microseconds > 0,
      microseconds < Int64.max / 1000
    else { return nil }
    // WATCHDOG_PID names the process that is meant, which a child is not.
    if let owner = environment["WATCHDOG_PID"], owner != "\(process)" { return nil }
    return microseconds * 1000 / 2
  }

  static func ready(_ status: String) -> String { "READY=1\nSTATUS=\(status)" }
  static func reloading(_ monotonic: Int64) -> String { "RELOADING=1\nMONOTONIC_USEC=\(monotonic / 1000)" }
  static let stopping = "STOPPING=1"
  static let alive = "WATCHDOG=1"

  /// nil if it was told, or nobody wants to know; else why not.
  func tell(_ message: String) -> String? {
    guard let socket else { return nil }
    let bytes = Array(message.utf8)
    return daemon_send_datagram(socket, bytes, bytes.count) == 0 ? nil : systemError()
  }
}
