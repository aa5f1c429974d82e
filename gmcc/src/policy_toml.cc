// SPDX-License-Identifier: GPL-2.0
/*
 * TOML, by toml++: the one library for it that Debian 12 and 13 both have, hence
 * C++. Nothing else is done here; no exception leaves.
 */
#include <cstring>
#include <sstream>
#include <string>
#include <toml++/toml.h>

#include "policy_toml.h"

static void give(const std::string &key, const toml::node &node, const toml_sink *sink)
{
	if (auto s = node.as_string())
		sink->string(sink->arg, key.c_str(), s->get().c_str());
	else if (auto n = node.as_integer())
		sink->number(sink->arg, key.c_str(), n->get());
	else
		throw std::runtime_error(key + " is neither a string, a whole number nor a list of strings.");
}

static void give_list(const std::string &key, const toml::array &list, const toml_sink *sink)
{
	sink->list(sink->arg, key.c_str());
	for (const auto &e : list) {
		if (!e.is_string())
			throw std::runtime_error(key + " holds something that is no string.");
		give(key, e, sink);
	}
}

extern "C" char *toml_parse(const char *file, const struct toml_sink *sink)
{
	try {
		for (const auto &[key, node] : toml::parse_file(file)) {
			if (auto list = node.as_array())
				give_list(std::string(key.str()), *list, sink);
			else
				give(std::string(key.str()), node, sink);
		}
	} catch (const toml::parse_error &e) {
		std::ostringstream s;

		if (e.source().begin)
			s << "line " << e.source().begin.line << ": ";
		s << e.description() << ".";
		return strdup(s.str().c_str());
	} catch (const std::exception &e) {
		return strdup(e.what());
	}
	return nullptr;
}
