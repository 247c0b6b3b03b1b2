/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dcmtk_log.cc - an appender of DCMTK's oflog that writes events of the node's log.
 *
 * Threads: oflog serialises calls of one appender; the node's log takes any thread.
 */
#include "dcmtk_log.h"

#include "log.h"

#include "dcmtk/config/osconfig.h" /* DCMTK wants it first */
#include "dcmtk/oflog/oflog.h"
#include "dcmtk/oflog/spi/logevent.h"

namespace l4c = dcmtk::log4cplus;

namespace
{

class NodeAppender : public l4c::Appender
{
  public:
    ~NodeAppender() override
    {
        destructorImpl();
    }

    void close() override
    {
    }

  protected:
    void append(const l4c::spi::InternalLoggingEvent &event) override
    {
        const log_level level =
            event.getLogLevel() >= OFLogger::ERROR_LOG_LEVEL ? LOG_WARN : LOG_DEBUG;
        const log_field fields[] = {
            {"logger", LOG_FIELD_TEXT, event.getLoggerName().c_str(), 0, 0},
            {"message", LOG_FIELD_TEXT, event.getMessage().c_str(), 0, 0},
        };
        log_event_fields(level, "dcmtk", fields, 2);
    }
};

} // namespace

int dcmtk_log_init(scp_error *error)
{
    try {
        OFLog::getLogger("dcmtk"); /* its own set-up runs at the first call */
        l4c::Logger root = l4c::Logger::getRoot();
        root.removeAllAppenders();
        root.addAppender(l4c::SharedAppenderPtr(new NodeAppender));
        /* Never deeper than info: its debug level dumps PDUs, passwords included. */
        root.setLogLevel(log_enabled(LOG_DEBUG) ? OFLogger::INFO_LOG_LEVEL
                                                : OFLogger::ERROR_LOG_LEVEL);
        return 0;
    } catch (...) {
        return scp_fail(error, "cannot set up DCMTK's log");
    }
}
