/* lwIP includes this for snprintf, which nothing that we build calls. */
#pragma once
