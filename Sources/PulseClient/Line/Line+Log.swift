// SPDX-License-Identifier: Apache-2.0
import PulseFlow
import PulseProcess
import PulseText
import PulseWire

extension Line {
  /// One line of text about this line; `text` is made only if the level is on.
  @inline(__always)
  func log(_ level: LogLevel, _ text: () -> Sentence) {
    if Log.isOn(level) { logLine(level, text()) }
  }

  @inline(never)
  private func logLine(_ level: LogLevel, _ line: Sentence) {
    // The number that the metrics have as `id` tells clients of one URL apart.
    let number: Sentence = client.options.name.hasNoBytes && client.serial > 0 ? " #\(client.serial)" : ""
    let who = client.options.name.hasNoBytes ? url.redacted : client.options.name
    Log.write(level, sentence("[\(who)\(number)] \(line)"))
  }
}
